"""The loops that turn a formula into a unit."""
