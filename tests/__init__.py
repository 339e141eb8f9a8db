"""Tests; a package, since libraries install packages of that name."""
