"""The modules of PyTorch and of this package as layers, a family of them a file."""
