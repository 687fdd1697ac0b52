"""Normal numbers added to values, in training only."""
