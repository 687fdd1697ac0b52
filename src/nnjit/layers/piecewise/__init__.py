"""Numeric columns encoded by how far a value has come through each of some bins."""
