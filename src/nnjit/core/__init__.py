"""Compiled kernels: imports NumPy, math and Numba and nothing else."""
