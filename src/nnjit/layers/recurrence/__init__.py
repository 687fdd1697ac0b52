"""Recurrent layers: what their cells share, as data and on the CPU."""
