"""Token samplers on CUDA: plans, kernels and the runner that launches them."""
