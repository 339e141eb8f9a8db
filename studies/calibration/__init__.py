"""What taking the mean of a wrong score away gains."""
