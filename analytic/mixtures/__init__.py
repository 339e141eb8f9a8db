"""Gaussian mixtures: parameters, weights, components, posterior, sampling, and the class that joins them."""
