"""Residual layers: what came into some layers is added to what comes out of them."""
