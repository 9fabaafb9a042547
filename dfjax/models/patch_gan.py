"""PatchGAN discriminator (Isola et al., 2017): one logit for each patch of a frame."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from dfjax.errors import UsageError, unknown
from dfjax.models.efficientnet import scaled_channels
from dfjax.models.entry import Options
from dfjax.models.initializers import HE_OUT
from dfjax.models.layers import Compute
from dfjax.ops import conv as conv_ops
from dfjax.shapes import Inputs

AROUND = ((1, 1), (1, 1))
KERNEL = 4
SLOPE = 0.2  # of leaky ReLU below zero
EPSILON = 1e-5  # added to the variance of instance normalisation
NORMS = ("instance", "none")


class SpectralConv(nn.Module):
    """Convolution of 4 x 4 with bias, whose kernel may be divided by its largest singular value.

    The singular value is that of the kernel as a matrix `[k*k*I, O]` (Miyato et al., 2018). It is
    estimated by one power iteration per training step, whose vector is the statistic `u`.

    Attributes:
        features: Number of output channels.
        stride: Stride in both directions.
        spectral_norm: Whether the kernel is divided.
        compute: Dtype and lowering.
    """

    features: int
    stride: int
    spectral_norm: bool = False
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: Float[Array, "n h w i"], *, train: bool) -> Float[Array, "n p q o"]:
        """Returns the convolved maps.

        Args:
            x: Feature maps.
            train: Whether the power iteration advances.
        """
        shape = (KERNEL, KERNEL, x.shape[-1], self.features)
        kernel = self.param("kernel", HE_OUT, shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        if self.spectral_norm:
            kernel = kernel / self._singular_value(kernel.reshape(-1, self.features), train)
        x = conv_ops.conv(
            x.astype(self.compute.dtype), kernel, stride=self.stride, padding=AROUND,
            lowering=self.compute.lowering,
        )  # fmt: skip
        return x + bias.astype(self.compute.dtype)

    @nn.nowrap
    def _singular_value(self, matrix: Float[Array, "i o"], train: bool) -> Float[Array, ""]:
        first = jnp.full((self.features,), self.features**-0.5)
        u = self.variable("batch_stats", "u", lambda: first)
        fixed = jax.lax.stop_gradient(matrix)
        right = u.value
        left = _unit(fixed @ right)
        if train:
            right = _unit(left @ fixed)
            left = _unit(fixed @ right)
            if not self.is_initializing():
                u.value = right
        return left @ matrix @ right


class PatchGAN(nn.Module):
    """Five convolutions of 4 x 4, three of stride 2 and two of stride 1, with leaky ReLU.

    Each patch logit depends on 70 x 70 pixels (see `receptive_field`). Frames are judged one by
    one. The mean of the patch logits over the valid frames is the logit of the clip, so that the
    network can also be trained as a detector.

    Attributes:
        channels: Number of channels of all convolutions but the last, of which the last has stride
            1 and the others have stride 2.
        norm: Normalisation of all convolutions but the first and the last: `instance` (the pixels
            of a frame, without parameters, so that clips do not affect each other) or `none`.
        spectral_norm: Whether kernels are divided by their largest singular value.
        width: Factor of all channel counts, for small models.
        compute: Dtype and lowering. Logits are float32.
    """

    channels: tuple[int, ...] = (64, 128, 256, 512)
    norm: str = "instance"
    spectral_norm: bool = False
    width: float = 1.0
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, inputs: Inputs, *, train: bool
    ) -> tuple[Float[Array, "B"], dict[str, Array]]:
        """Returns logits (positive: restored), and `patch_logits f32[B,T,h,w]`.

        Args:
            inputs: `rgb f32[B,T,H,W,3]` and `mask bool[B,T]`. The patch logits of frames outside
                the mask are 0.
            train: Whether the power iterations of spectral normalisation advance.

        Raises:
            UsageError: The frames are too small for a patch.
        """
        mask = inputs["mask"][:, :, None, None]
        clip = jnp.where(mask[..., None], inputs["rgb"], 0)  # padding may be NaN
        b, t, *image = clip.shape
        check_side(min(image[:2]), len(self.channels))
        x = clip.reshape(b * t, *image)
        for number, features in enumerate(self.channels, 1):
            stride = 2 if number < len(self.channels) else 1
            x = self._conv(scaled_channels(features, self.width), stride, f"conv{number}")(
                x, train=train
            )
            if number > 1 and self.norm == "instance":
                x = instance_norm(x)
            x = jax.nn.leaky_relu(x, SLOPE)
        x = self._conv(1, 1, "logits")(x, train=train)[..., 0].astype(jnp.float32)
        patches = jnp.where(mask, x.reshape(b, t, *x.shape[1:]), 0)
        frames = patches.mean((2, 3)).sum(1) / jnp.maximum(mask.sum((1, 2, 3)), 1)
        return frames, {"patch_logits": patches}

    @nn.nowrap
    def _conv(self, features: int, stride: int, name: str) -> SpectralConv:
        return SpectralConv(features, stride, self.spectral_norm, self.compute, name=name)


def instance_norm(x: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
    """Returns maps of mean 0 and variance 1 over the pixels of each map, in the dtype of `x`."""
    values = x.astype(jnp.float32)
    centred = values - values.mean((1, 2), keepdims=True)
    variance = jnp.mean(jnp.square(centred), (1, 2), keepdims=True)
    return (centred * jax.lax.rsqrt(variance + EPSILON)).astype(x.dtype)


def receptive_field(layers: int) -> int:
    """Returns the side in pixels of the patch that a logit depends on.

    Args:
        layers: Number of convolutions before the last, the last of which has stride 1. With 4 the
            patch has 70 px.
    """
    side = 1
    for stride in (1, 1, *(2,) * (layers - 1)):  # from the logit to the pixels
        side = (side - 1) * stride + KERNEL
    return side


def check_side(side: int, layers: int) -> None:
    """Checks that frames are large enough for a patch logit.

    Args:
        side: Shorter side of the frames in pixels.
        layers: Number of convolutions before the last.

    Raises:
        UsageError: They are not.
    """
    least = 3 * 2 ** (layers - 1)  # two convolutions take away one cell each
    if side < least:
        raise UsageError(f"patch_gan needs frames of {least} px or more, not {side} px")


def check_options(options: Options) -> None:
    """Checks the options of `PatchGAN`.

    Raises:
        UsageError: The normalisation is unknown, or there is no convolution before the last.
    """
    if options["norm"] not in NORMS:
        raise unknown("norm of patch_gan", options["norm"], NORMS)
    if not options["channels"]:
        raise UsageError("patch_gan needs a convolution before the last: channels is empty")


def _unit(vector: Float[Array, "n"]) -> Float[Array, "n"]:
    return vector * jax.lax.rsqrt(jnp.maximum(jnp.sum(jnp.square(vector)), 1e-12))
