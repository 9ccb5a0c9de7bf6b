"""Devices and processes: mesh and sharding, collectives, start of a cluster, watchdog."""
