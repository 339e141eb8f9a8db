"""How many evaluations Langevin dynamics on the target need, by exact moments on Gaussians."""
