"""Metrics: additive sums on the device, reports in 64 bits on the host."""
