"""Compiles a config's train step for machines that are not here, and measures what it will need."""
