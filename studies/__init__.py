"""Questions put to samplers and targets, and the tables, figures and commands that answer them."""
