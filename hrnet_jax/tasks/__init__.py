"""What each task asks of a network: a loss, additive sums, a report and pictures."""
