"""asv benchmarks of nnjit."""
