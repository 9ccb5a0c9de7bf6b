"""One TFDS builder for each data set with landmarks, with its facts beside it."""
