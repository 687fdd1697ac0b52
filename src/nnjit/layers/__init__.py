"""Layers by kind, a folder each: what a layer is (`spec.py`, plain data), and its code for the CPU.

`network.py` puts layers together. Nothing here that is imported with nnjit compiles or loads Numba.
"""
