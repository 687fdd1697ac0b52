"""The network on a CUDA device. Nothing here is imported unless a device is asked for."""
