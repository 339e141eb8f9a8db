"""Which grid a method should walk."""
