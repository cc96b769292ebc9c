"""Media and percepts."""
