"""The package's version, in one place that can be read without importing anything else."""

__version__ = "0.2.0"
