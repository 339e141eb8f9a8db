"""Which cause makes how much of a sampler's error."""
