"""The contract of the decoder."""
