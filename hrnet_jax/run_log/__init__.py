"""The log of a run: terminal, `metrics.jsonl` and TensorBoard."""
