"""Who runs an operation: engines that drive the kernels on the CPU or a GPU."""
