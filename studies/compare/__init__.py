"""Which of several methods to take: errors at equal numbers of evaluations."""
