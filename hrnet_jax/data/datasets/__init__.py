"""What TFDS builders share, and the data sets that belong to no task."""
