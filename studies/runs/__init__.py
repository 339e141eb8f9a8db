"""Runs: studies declared in a file, planned, run into a folder, looked at later, merged, held against each other."""
