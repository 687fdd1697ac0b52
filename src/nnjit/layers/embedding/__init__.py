"""Learned vectors in place of the codes of categories."""
