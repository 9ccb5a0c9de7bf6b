"""Pictures of label maps for people."""
