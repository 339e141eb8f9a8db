"""The gap under learned scores."""
