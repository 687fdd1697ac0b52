"""The input: rows of the samples, brought into the workspace of a block."""
