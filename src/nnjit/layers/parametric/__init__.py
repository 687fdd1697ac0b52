"""Parametric activations: each unit learns how much of its activation it takes."""
