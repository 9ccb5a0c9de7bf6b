"""Compiles a config's train step for machines that are not here, and says what it will need."""
