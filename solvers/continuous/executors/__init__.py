"""What runs a tableau: compiled, on arrays, on CUDA, by exact law, by density, on one Brownian path."""
