"""Checkpoints and the folder of a run: written, read, checked, and started from."""
