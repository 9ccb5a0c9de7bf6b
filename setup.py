"""Maps `configs/` of the checkout to `hrnet_jax.configs` of the wheel; see pyproject.toml."""

from setuptools import find_namespace_packages, find_packages, setup

CONFIGS = find_namespace_packages("configs", exclude=["__pycache__", "*.__pycache__"])

setup(
  packages=[
    *find_packages(include=["hrnet_jax", "hrnet_jax.*"]),
    "hrnet_jax.configs",
    *(f"hrnet_jax.configs.{name}" for name in CONFIGS),
  ],
  package_dir={"hrnet_jax.configs": "configs"},
  package_data={"hrnet_jax": ["py.typed"]},
)
