"""Trains the network that tells icons at the ends of lines from characters (docs/ocr.md)."""
