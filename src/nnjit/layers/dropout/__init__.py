"""Dropout: values left out at random, in training only."""
