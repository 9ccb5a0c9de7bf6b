"""Proof that our networks compute what PyTorch computes; `python -m hrnet_jax.parity`."""
