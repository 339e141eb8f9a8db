"""Methods for tokens, a family a file; every module here is imported by `catalogue.discover`."""
