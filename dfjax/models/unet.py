"""U-Net (Ronneberger et al., 2015) from frames to frames, the network of the generator."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from dfjax.models.conv_lstm import ConvLSTM
from dfjax.models.layers import TORCH_BN, BatchNorm, BNConstants, Compute, Conv
from dfjax.ops.pool import max_pool
from dfjax.ops.resize import resize

AROUND = ((1, 1), (1, 1))


class ConvBlock(nn.Module):
    """Two 3 x 3 convolutions without bias, each with batch normalisation and ReLU.

    Attributes:
        features: Number of channels of both convolutions.
        bn: Constants of batch normalisation.
        compute: Dtype and lowering.
    """

    features: int
    bn: BNConstants = TORCH_BN
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w i"], mask: Bool[Array, "n"] | None = None, *, train: bool
    ) -> Float[Array, "n h w o"]:
        """Returns the block's maps, which have the size of `x`."""
        for number in (1, 2):
            x = Conv(self.features, 3, padding=AROUND, compute=self.compute, name=f"conv{number}")(
                x
            )
            x = BatchNorm(self.bn, jax.nn.relu, name=f"bn{number}")(x, mask, train=train)
        return x


class UNet(nn.Module):
    """U-Net from frames to RGB frames of the same size, with a skip connection on every level.

    Every level is a `ConvBlock`. The encoder max-pools maps by two. The decoder resizes maps
    bilinearly to the size of the skip and concatenates both, the resized maps first. Sides need not
    be divisible: pooling drops an odd last row or column and resizing restores it. The smallest
    side is `2 ** (levels - 1)`.

    Attributes:
        widths: Number of channels of the levels, from the full size to the bottleneck.
        residual: Whether the output is added to the input, which leaves it unbounded. Otherwise a
            tanh bounds it to (-1, 1).
        conv_lstm: Number of channels of a `ConvLSTM` over the maps of the bottleneck, which
            connects the frames of a clip; 0 processes every frame separately.
        bn: Constants of batch normalisation.
        compute: Dtype and lowering. The output is float32.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512)
    residual: bool = True
    conv_lstm: int = 0
    bn: BNConstants = TORCH_BN
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self,
        clip: Float[Array, "B T H W 3"],
        mask: Bool[Array, "B T"] | None = None,
        *,
        train: bool,
    ) -> Float[Array, "B T H W 3"]:
        """Returns a restored frame for each frame of `clip`.

        Args:
            clip: Frames with values in [-1, 1]; single images are clips of one frame.
            mask: Which frames are valid, or None for all. The others affect neither batch
                statistics nor the recurrence.
            train: Whether to normalise by the statistics of the batch.
        """
        b, t, *image = clip.shape
        valid = None
        if mask is not None:
            clip = jnp.where(mask[:, :, None, None, None], clip, 0)  # padding may be NaN
            valid = mask.reshape(b * t)
        x = clip.reshape(b * t, *image)
        skips = []
        for level, features in enumerate(self.widths, 1):
            if level > 1:
                x = max_pool(x, lowering=self.compute.lowering)
            x = self._block(features, f"down{level}")(x, valid, train=train)
            skips.append(x)
        if self.conv_lstm:
            maps = x.reshape(b, t, *x.shape[1:])
            maps = ConvLSTM(self.conv_lstm, compute=self.compute, name="conv_lstm")(maps, mask)
            x = maps.reshape(b * t, *maps.shape[2:])
        for level in range(len(self.widths) - 1, 0, -1):
            skip = skips[level - 1]
            x = resize(x, (skip.shape[1], skip.shape[2]), antialias=False)
            x = jnp.concatenate([x, skip], axis=-1)
            x = self._block(self.widths[level - 1], f"up{level}")(x, valid, train=train)
        x = Conv(3, use_bias=True, compute=self.compute, name="rgb")(x)
        restored = x.astype(jnp.float32).reshape(b, t, *image)
        return clip + restored if self.residual else jnp.tanh(restored)

    @nn.nowrap
    def _block(self, features: int, name: str) -> ConvBlock:
        return ConvBlock(features, self.bn, self.compute, name=name)
