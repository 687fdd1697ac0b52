"""Dense layers: an affine map and an activation."""
