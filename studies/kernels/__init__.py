"""Samplers whose kernel is no Gaussian: Poisson flow, and walls."""
