"""Trains the network that tells the script of a line of text (docs/scripts.md)."""
