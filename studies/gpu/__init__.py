"""What the CUDA kernels do: resources, estimates by running their PTX, speeds, peers, and the report."""
