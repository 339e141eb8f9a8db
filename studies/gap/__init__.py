"""How far ODE and SDE samplers end apart when the score is wrong."""
