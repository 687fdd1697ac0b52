"""Changes of the rows at random in training."""
