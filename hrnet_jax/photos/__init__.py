"""What the predict command does with photos: one module for each task."""
