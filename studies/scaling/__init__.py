"""How many evaluations an error costs."""
