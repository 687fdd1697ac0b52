"""Stacks of layers by keywords, as a tuple of what comes before the output layer."""
