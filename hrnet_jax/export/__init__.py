"""Trained networks as programs that run without this package."""
