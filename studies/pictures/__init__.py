"""The picture study: samples over a density and the ways there."""
