"""Trains the encoder of icons: their pixels into the space in which MiniLM puts sentences."""
