"""What a kernel is made of: moves of all sites at once, of pairs, reveals, births and events."""
