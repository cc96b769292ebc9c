"""Measurements of the product as a whole; results go to `benchmarks/results`."""
