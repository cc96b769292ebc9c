"""Conversions that run at fetch time, and the exporters that developers run with torch."""
