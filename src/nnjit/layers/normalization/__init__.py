"""Normalization layers: values of mean 0 and variance 1, over the minibatch or over the row."""
