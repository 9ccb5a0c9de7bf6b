"""Proof that our networks compute what PyTorch computes; `hrnet parity`."""
