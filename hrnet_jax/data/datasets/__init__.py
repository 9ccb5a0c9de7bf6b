"""The base of all TFDS builders, and the data sets that belong to no task."""
