"""`assay bench`: how fast samples are drawn on this machine, beside what others use and what its arithmetic allows."""
