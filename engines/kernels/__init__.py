"""CUDA kernels before and after the networks; each .cu has a Python twin with its launches and a numpy reference."""
