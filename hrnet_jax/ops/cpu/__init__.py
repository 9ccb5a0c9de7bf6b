"""What XLA's CPU backend does slowly, written so that it does not."""
