"""Data sets on disk, their preparation, transforms and batches; no TensorFlow."""
