"""The contract of the gateway."""
