"""U-Net (Ronneberger et al., 2015) from frames to frames: the backbone of the generator."""

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
    """Twice: 3 x 3 convolution without bias, batch normalisation, ReLU.

    Attributes:
        features: channels of both convolutions.
        bn: constants of batch normalisation.
        compute: dtype and lowering.
    """

    features: int
    bn: BNConstants = TORCH_BN
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w i"], mask: Bool[Array, "n"] | None = None, *, train: bool
    ) -> Float[Array, "n h w o"]:
        """Returns the block's maps, as large as `x`."""
        for number in (1, 2):
            x = Conv(self.features, 3, padding=AROUND, compute=self.compute, name=f"conv{number}")(
                x
            )
            x = BatchNorm(self.bn, jax.nn.relu, name=f"bn{number}")(x, mask, train=train)
        return x


class UNet(nn.Module):
    """Frames to RGB frames of the same size, every level of the encoder feeding the decoder.

    A level is a `ConvBlock`; going down the maps are max-pooled by two, going up they are resized
    bilinearly to the size of the skip and stand before it. Sides need not divide: pooling drops an
    odd last row or column, resizing brings it back. The smallest side is `2 ** (levels - 1)`.

    Attributes:
        widths: channels of the levels, from the full size to the bottleneck.
        residual: the output is added to the input, and is then not bounded; otherwise it goes
            through tanh, into (-1, 1).
        conv_lstm: channels of a `ConvLSTM` over the maps of the bottleneck, which lets the frames
            of a clip know each other; 0: every frame for itself.
        bn: constants of batch normalisation.
        compute: dtype and lowering; the output is float32.
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
        """Returns a frame for each frame of `clip`.

        Args:
            clip: frames in [-1, 1]; single images are clips of one frame.
            mask: frames that count in batch statistics and recurrence; None: all. What the others
                hold changes nothing.
            train: batch statistics of the batch.
        """
        b, t, *image = clip.shape
        valid = None
        if mask is not None:
            clip = jnp.where(mask[:, :, None, None, None], clip, 0)  # even NaN must not reach a sum
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
