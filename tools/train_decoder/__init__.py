"""Trains the reader that points to answers: meetings made from seeds, LoRA on MiniLM, calibration."""
