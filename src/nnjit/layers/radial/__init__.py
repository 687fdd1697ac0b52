"""Radial layers: Gaussian bumps around centres."""
