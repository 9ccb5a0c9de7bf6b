"""Convolution and normalisation in PyTorch's numerics: `(B, H, W, C) -> (B, h, w, K)`."""

import dataclasses
import math
from typing import Any

import flax.linen as nn
import jax
from jax.ad_checkpoint import checkpoint_name
import jax.numpy as jnp

from hrnet_jax.errors import UserError, check_known
from hrnet_jax.ops.batch_norm import grouped_batch_norm
from hrnet_jax.ops.conv import add_relu, conv, conv_bias_relu
from hrnet_jax.ops.group_norm import group_norm
from hrnet_jax.ops.sum_maps import Concatenation

# Keys are values of `config.model.init`; sources: the reference's ImageNet networks (He et al.,
# fan-out), its lib/models/seg_hrnet.py, and PyTorch's default.
INITIALIZERS = {
  "kaiming": nn.initializers.variance_scaling(2.0, "fan_out", "normal"),
  "lecun": nn.initializers.variance_scaling(1.0, "fan_in", "normal"),
  "normal_0.001": nn.initializers.normal(0.001),
  "uniform_fan_in": nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform"),
}
CONVOLUTION = "convolution"  # name of its result, for those who choose what a gradient keeps
DTYPES = ("float32", "bfloat16", "float64")
NORMS = ("batch", "group")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerConfig:
  """Numeric policy that all layers of a network share.

  Attributes:
    dtype: of activations and products, a name in `DTYPES`; float64 is for parity proofs.
      Parameters, statistics and logits are float32 (float64 in a float64 network).
    bn_momentum: weight of the new batch in BatchNorm's running statistics, as in PyTorch.
    norm_epsilon: added to the variance.
    bn_group_size: consecutive examples that share statistics in training; 0 is the whole batch.
    init: initialisation of convolution kernels, a key of `INITIALIZERS`.
    norm: `batch`, or `group` for GroupNorm, whose statistics are those of each example alone: for
      batches too small to have good ones. See `ops.group_norm`.
    folded: whether every norm is part of the convolution before it; see `fold_batchnorm`.

  Raises:
    ValueError: a value is unknown or out of range.
  """

  dtype: Any
  bn_momentum: float
  init: str
  norm_epsilon: float = 1e-5
  bn_group_size: int = 0
  norm: str = "batch"
  folded: bool = False

  def __post_init__(self):
    if not 0 < self.bn_momentum <= 0.5:
      raise UserError(
        f"bn_momentum is the weight of the new batch, as in PyTorch (0.1 or 0.01); "
        f"got {self.bn_momentum}; Flax's momentum is one minus it"
      )
    check_known(self.norm, NORMS, "norm")
    if self.bn_group_size < 0:
      raise UserError(
        f"bn_group_size is {self.bn_group_size}; expected a number of examples, or 0 for the whole "
        "batch"
      )
    if self.bn_group_size and self.norm != "batch":
      raise UserError(
        f"bn_group_size is {self.bn_group_size}, but with norm {self.norm!r} no examples share "
        "statistics; leave it at 0"
      )
    check_known(self.init, sorted(INITIALIZERS), "init")
    if str(self.dtype) not in DTYPES:
      raise UserError(f"unknown dtype {str(self.dtype)!r}; known: {', '.join(DTYPES)}")
    object.__setattr__(self, "dtype", jnp.dtype(self.dtype))
    if self.dtype == jnp.float64 and not jax.config.jax_enable_x64:  # type: ignore[attr-defined]
      raise UserError("dtype float64 needs JAX_ENABLE_X64=1")

  @property
  def param_dtype(self) -> Any:
    """Dtype of parameters, statistics and logits."""
    return jnp.promote_types(self.dtype, jnp.float32)

  @property
  def wide(self) -> "LayerConfig":
    """The same with activations in the dtype of the parameters, as layers of scores have them."""
    return dataclasses.replace(self, dtype=self.param_dtype)


def uniform_fan_in(fan_in: int) -> nn.initializers.Initializer:
  """PyTorch's default for biases and linear layers: uniform in +-1 / sqrt(fan_in)."""
  bound = 1 / math.sqrt(fan_in)
  return lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -bound, bound)


class Conv(nn.Module):
  """`ops.conv.conv` with its parameters, and what is to follow it.

  `(B, H, W, C) -> (B, ceil(H / stride), ceil(W / stride), features)`; a `residual` of that shape is
  added.

  Attributes:
    features: K.
    kernel: side of the window, odd.
    layer_config: of the network.
    stride: of both axes.
    use_bias: whether there is one.
    relu: whether a ReLU follows, after the residual.
    kernel_init: by default the one that `layer_config` names.
    bias_init: by default PyTorch's.
  """

  features: int
  kernel: int
  layer_config: LayerConfig
  stride: int = 1
  use_bias: bool = False
  relu: bool = False
  kernel_init: nn.initializers.Initializer | None = None
  bias_init: nn.initializers.Initializer | None = None

  @nn.compact
  def __call__(self, x: jax.Array | Concatenation, residual: jax.Array | None = None) -> jax.Array:
    cfg, k, c = self.layer_config, self.kernel, x.shape[-1]
    init = self.kernel_init or INITIALIZERS[cfg.init]
    weight = self.param("kernel", init, (k, k, c, self.features), cfg.param_dtype)
    weight, bias = weight.astype(cfg.dtype), None
    if self.use_bias:
      init = self.bias_init or uniform_fan_in(k * k * c)
      bias = self.param("bias", init, (self.features,), cfg.param_dtype).astype(cfg.dtype)
    separate = isinstance(x, Concatenation)
    if separate and not (k == self.stride == 1 and residual is None and x.serves(cfg.dtype)):
      x, separate = x.array(), False
    if separate and cfg.folded:
      return x.pointwise_conv(weight, bias, relu=self.relu)
    x = x if separate else x.astype(cfg.dtype)
    if cfg.folded and bias is not None:
      return conv_bias_relu(x, weight, bias, stride=self.stride, residual=residual, relu=self.relu)
    y = x.pointwise_conv(weight) if separate else conv(x, weight, self.stride)
    y = y if bias is None else y + bias
    return add_relu(y, residual, self.relu)


class BatchNorm(nn.Module):
  """Batch normalisation over batch and space, shape preserving.

  Normalises with the biased variance of the batch and stores the unbiased one, as PyTorch
  does and Flax does not. Under `jit` the batch is the global one, whatever its sharding. With
  `bn_group_size` each group of examples normalises itself, and the running statistics move once,
  by the mean over the groups.
  """

  layer_config: LayerConfig

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    cfg, channels = self.layer_config, x.shape[-1:]
    scale, bias = _scale_and_bias(self, channels)
    mean = self.variable("batch_stats", "mean", jnp.zeros, channels, cfg.param_dtype)
    var = self.variable("batch_stats", "var", jnp.ones, channels, cfg.param_dtype)
    if not train:
      gain = scale * jax.lax.rsqrt(var.value + cfg.norm_epsilon)
      wide = x.astype(cfg.param_dtype)
      return (wide * gain + (bias - mean.value * gain)).astype(cfg.dtype)
    size = cfg.bn_group_size or x.shape[0]
    y, batch_mean, batch_var = grouped_batch_norm(x, scale, bias, cfg.norm_epsilon, size)
    if not self.is_initializing():
      count = size * math.prod(x.shape[1:-1])
      unbiased = batch_var * (count / max(count - 1, 1))
      mean.value += cfg.bn_momentum * (batch_mean - mean.value)
      var.value += cfg.bn_momentum * (unbiased - var.value)
    return y


class GroupNorm(nn.Module):
  """Group normalisation over space and groups of channels, shape preserving.

  The same in training and evaluation; there are no running statistics. See `ops.group_norm`.
  """

  layer_config: LayerConfig

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    scale, bias = _scale_and_bias(self, x.shape[-1:])
    return group_norm(x, scale, bias, self.layer_config.norm_epsilon)


def _scale_and_bias(norm: BatchNorm | GroupNorm, shape: tuple[int, ...]) -> list[jax.Array]:
  dtype, init = norm.layer_config.param_dtype, nn.initializers
  return [
    norm.param("scale", init.ones, shape, dtype),
    norm.param("bias", init.zeros, shape, dtype),
  ]


class ConvNorm(nn.Module):
  """Convolution, norm, an optional sum and an optional ReLU; shapes as `Conv`.

  The norm's name says which one it is, `bn` or `gn`: a checkpoint of one does not fit the other.
  `use_bias` gives the convolution a bias although a norm follows: redundant, but part of some of
  the reference's heads.
  """

  features: int
  layer_config: LayerConfig
  kernel: int = 3
  stride: int = 1
  relu: bool = True
  use_bias: bool = False

  @nn.compact
  def __call__(
    self, x: jax.Array | Concatenation, *, train: bool, residual: jax.Array | None = None
  ) -> jax.Array:
    cfg = self.layer_config
    if cfg.folded and train:
      raise UserError(
        "this network's norms are folded into its convolutions, which is for inference alone; "
        "train the model that fold_batchnorm was given"
      )
    if cfg.folded:
      conv = Conv(
        self.features, self.kernel, cfg, self.stride, use_bias=True, relu=self.relu, name="conv"
      )
      return conv(x, residual)
    x = Conv(self.features, self.kernel, cfg, self.stride, self.use_bias, name="conv")(x)
    x = checkpoint_name(x, CONVOLUTION)
    if cfg.norm == "group":
      x = GroupNorm(cfg, name="gn")(x)
    else:
      x = BatchNorm(cfg, name="bn")(x, train=train)
    return add_relu(x, residual, self.relu)
