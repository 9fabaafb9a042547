"""Basic layers: convolutions, batch normalisation, squeeze-and-excitation, dropout."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from dfjax.models.initializers import HE_IN, HE_OUT, LECUN
from dfjax.ops import conv as conv_ops
from dfjax.ops.activations import Activation, lower_activation
from dfjax.ops.batch_norm import batch_norm, normalise
from dfjax.ops.depthwise import depthwise_conv
from dfjax.ops.lowering import NATIVE, Lowering
from dfjax.ops.padding import Padding

NO_PADDING: Padding = ((0, 0), (0, 0))

Dense = functools.partial(nn.Dense, kernel_init=LECUN)


@dataclasses.dataclass(frozen=True)
class BNConstants:
    """Constants of batch normalisation that differ between frameworks.

    Attributes:
        epsilon: Value added to the variance.
        momentum: Decay of the running statistics (torch's momentum is 1 - decay).
        unbiased: Whether the running variance is updated with n / (n - 1) times the variance of
            the batch.
    """

    epsilon: float
    momentum: float
    unbiased: bool


@dataclasses.dataclass(frozen=True)
class Compute:
    """Numerical settings of a module.

    Attributes:
        dtype: Dtype of the activations.
        lowering: Lowering of the convolutions.
    """

    dtype: DTypeLike = jnp.float32
    lowering: Lowering = NATIVE


TF_BN = BNConstants(epsilon=1e-3, momentum=0.99, unbiased=False)
TORCH_BN = BNConstants(epsilon=1e-5, momentum=0.9, unbiased=True)


class BatchNorm(nn.Module):
    """Batch normalisation with one-pass statistics in float32 (Ioffe and Szegedy, 2015).

    Under `jit` on a sharded batch, the statistics are those of the global batch. The backward pass
    recomputes the normalised map and the activation (see `dfjax.ops.batch_norm`).

    Attributes:
        constants: Epsilon, decay and bias correction.
        activation: Function applied to every value of the normalised map, or None.
    """

    constants: BNConstants = TF_BN
    activation: Activation | None = None

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "n *map c"],
        mask: Bool[Array, "n"] | None = None,
        *,
        train: bool,
    ) -> Float[Array, "n *map c"]:
        """Returns `x` normalised and activated, in its own dtype.

        Args:
            x: Feature maps or vectors, channels last.
            mask: Which samples count in the statistics of the batch, or None for all.
            train: Whether to use the statistics of the batch and to update the running ones.
        """
        channels = x.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (channels,), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (channels,), jnp.float32)
        mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,), jnp.float32)
        var = self.variable("batch_stats", "var", jnp.ones, (channels,), jnp.float32)
        how: Any = {"epsilon": self.constants.epsilon, "activation": self.activation}
        if not train:
            return normalise(x, mean.value, var.value, scale, bias, **how)
        y, centre, spread, count = batch_norm(x, scale, bias, mask, **how)
        if not self.is_initializing():
            decay = self.constants.momentum
            correction = count / jnp.maximum(count - 1, 1) if self.constants.unbiased else 1.0
            mean.value = decay * mean.value + (1 - decay) * centre
            var.value = decay * var.value + (1 - decay) * spread * correction
        return y


class Conv(nn.Module):
    """Dense k x k convolution; its kernel is `[k, k, I, O]` under every lowering.

    Attributes:
        features: Number of output channels.
        kernel_size: Side of the kernel.
        stride: Stride in both directions.
        padding: Numbers of zeros around the map.
        dilation: Distance of the kernel's cells on the map.
        use_bias: Whether a bias is added.
        kernel_init: Initialiser of the kernel; by default as in TensorFlow's EfficientNet (He et
            al., 2015, by fan-out).
        compute: Dtype and lowering.
    """

    features: int
    kernel_size: int = 1
    stride: int = 1
    padding: Padding = NO_PADDING
    dilation: int = 1
    use_bias: bool = False
    kernel_init: nn.initializers.Initializer = HE_OUT
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: Float[Array, "n h w i"]) -> Float[Array, "n p q o"]:
        """Returns the convolved maps in the module's dtype."""
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        x = conv_ops.conv(
            x.astype(self.compute.dtype),
            kernel,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            lowering=self.compute.lowering,
        )
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
            x = x + bias.astype(self.compute.dtype)
        return x


class DepthwiseConv(nn.Module):
    """Depthwise k x k convolution; its kernel is `[k, k, 1, C]`.

    Attributes:
        kernel_size: Side of the kernel.
        stride: Stride in both directions.
        padding: Numbers of zeros around the map.
        compute: Dtype and lowering.
    """

    kernel_size: int
    stride: int = 1
    padding: Padding = NO_PADDING
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n p q c"]:
        """Returns the convolved maps in the module's dtype."""
        shape = (self.kernel_size, self.kernel_size, 1, x.shape[-1])
        # Each output depends on k*k weights, the fan-in of this layout.
        kernel = self.param("kernel", HE_IN, shape, jnp.float32)
        return depthwise_conv(
            x.astype(self.compute.dtype),
            kernel,
            stride=self.stride,
            padding=self.padding,
            lowering=self.compute.lowering,
        )


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation (Hu et al., 2018) with swish, as in EfficientNet.

    Attributes:
        reduced: Number of channels of the reduction.
        compute: Dtype and lowering.
    """

    reduced: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
        """Returns `x` with every channel multiplied by its gate in (0, 1)."""
        gate = jnp.mean(x.astype(jnp.float32), axis=(1, 2), keepdims=True)
        gate = Conv(self.reduced, use_bias=True, compute=self.compute, name="reduce")(gate)
        gate = lower_activation(jax.nn.silu, self.compute.lowering)(gate)
        gate = Conv(x.shape[-1], use_bias=True, compute=self.compute, name="expand")(gate)
        return x * jax.nn.sigmoid(gate)


class DropPath(nn.Module):
    """Stochastic depth (Huang et al., 2016): drops a residual branch per sample in training.

    Attributes:
        rate: Probability of dropping the branch.
    """

    rate: float

    @nn.compact
    def __call__(self, x: Float[Array, "n ..."], *, train: bool) -> Float[Array, "n ..."]:
        """Returns `x`; in training, dropped samples are zero and the others are scaled up.

        The random stream is `dropout`.
        """
        if not train or self.rate == 0:
            return x
        keep = 1 - self.rate
        shape = (x.shape[0],) + (1,) * (x.ndim - 1)
        kept = jax.random.bernoulli(self.make_rng("dropout"), keep, shape)
        return jnp.where(kept, x / keep, 0)


class Dropout(nn.Module):
    """Dropout (Srivastava et al., 2014), in training and for Monte-Carlo dropout.

    In evaluation mode it is active if the caller gives the random stream `dropout`, while batch
    normalisation and stochastic depth stay in evaluation mode (Gal and Ghahramani, 2016).

    Attributes:
        rate: Probability of setting a value to zero.
    """

    rate: float

    @nn.compact
    def __call__(self, x: Float[Array, "*shape"], *, train: bool) -> Float[Array, "*shape"]:
        """Returns `x`; when dropout is active, dropped values are zero and others scaled up."""
        if self.rate == 0 or not (train or self.has_rng("dropout")):
            return x
        keep = 1 - self.rate
        kept = jax.random.bernoulli(self.make_rng("dropout"), keep, x.shape)
        return jnp.where(kept, x / keep, 0)
