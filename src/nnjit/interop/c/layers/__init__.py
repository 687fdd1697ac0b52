"""The kinds of layers in C, a family of them a file."""
