"""Made speech of several engines, heard by the recognisers' encoders, and the projector that is trained on it."""
