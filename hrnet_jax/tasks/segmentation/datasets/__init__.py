"""One TFDS builder for each data set with label maps, with its facts beside it."""
