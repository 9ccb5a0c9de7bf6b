"""The training loop and its parts: mesh, state, step, optimizer, checkpoints, log."""
