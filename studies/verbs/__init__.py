"""The verbs of the `assay` command, a file each."""
