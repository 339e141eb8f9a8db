"""Log-densities along the flow, beside the target's own."""
