"""What runs a kernel: exact law, samples, path divergence, on the CPU and on CUDA."""
