"""One TFDS builder for each data set with a class for each image."""
