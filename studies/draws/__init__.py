"""What drawing tokens in float32 does."""
