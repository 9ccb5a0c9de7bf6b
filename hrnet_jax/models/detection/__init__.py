"""Detectors on HRNetV2p: heads, the published methods, and the way through both stages."""
