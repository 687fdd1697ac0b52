"""Scaling layers: each value times a learned factor."""
