"""Looking into a network: gradient checks and plots."""
