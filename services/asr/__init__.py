"""Speech recognition: what was said, when, in which language."""
