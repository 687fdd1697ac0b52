"""Kernels on row-major arrays: what `nnjit.functional` offers."""
