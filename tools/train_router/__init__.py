"""Training of the decoder's router: `python -m tools.train_router`."""
