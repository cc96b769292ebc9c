"""Serving once for all: the expert skin, hosting, wire, settings, errors."""
