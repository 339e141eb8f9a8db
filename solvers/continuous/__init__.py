"""The continuous half: methods as tableaux of coefficients, and the executors that run any tableau."""
