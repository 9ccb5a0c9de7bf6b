"""One TFDS builder for each data set with boxes, with its facts beside it."""
