"""Which order a method has, beside its claim."""
