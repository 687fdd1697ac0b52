"""Dense layers whose weights are those of another one, transposed."""
