"""How kernels are compiled, kept on disk and loaded; what leans on Numba's private names."""
