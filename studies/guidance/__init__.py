"""Guided, posterior and composed sampling against the exact law."""
