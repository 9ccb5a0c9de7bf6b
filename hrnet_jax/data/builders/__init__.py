"""One TFDS builder for each data set, with its facts beside it."""
