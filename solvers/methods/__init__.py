"""The methods, one family a file; every module here is imported by the catalogue."""
