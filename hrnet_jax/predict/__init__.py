"""A trained network on photos: the same for every task."""
