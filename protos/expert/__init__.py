"""The contract of every perception service."""
