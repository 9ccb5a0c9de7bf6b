"""One folder for each task, with all that is its own; `interface` is what the rest knows of it."""
