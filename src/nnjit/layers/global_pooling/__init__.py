"""Pooling over all points."""
