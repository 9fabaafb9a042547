"""U-Net (Ronneberger et al., 2015) from frames to frames, the generator that restores clips."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from dfjax.errors import UsageError
from dfjax.models.conv_lstm import ConvLSTM
from dfjax.models.efficientnet import scaled_channels
from dfjax.models.entry import Options
from dfjax.models.initializers import HE_OUT
from dfjax.models.layers import TORCH_BN, BatchNorm, BNConstants, Compute, Conv
from dfjax.models.remat import mark_block, recompute
from dfjax.ops.pool import max_pool
from dfjax.ops.resize import resize
from dfjax.shapes import Inputs

AROUND = ((1, 1), (1, 1))


class ConvBlock(nn.Module):
    """Convolutions of 3 x 3 without bias, each with batch normalisation and ReLU.

    Attributes:
        features: Number of channels of the convolutions.
        count: Number of convolutions.
        bn: Constants of batch normalisation.
        compute: Dtype and lowering.
    """

    features: int
    count: int = 2
    bn: BNConstants = TORCH_BN
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w i"], mask: Bool[Array, "n"] | None = None, *, train: bool
    ) -> Float[Array, "n h w o"]:
        """Returns the block's maps, which have the size of `x`."""
        for number in range(1, self.count + 1):
            x = Conv(self.features, 3, padding=AROUND, compute=self.compute, name=f"conv{number}")(
                x
            )
            x = BatchNorm(self.bn, jax.nn.relu, name=f"bn{number}")(x, mask, train=train)
        return x


class UNet(nn.Module):
    """U-Net from frames to restored frames of the same size, with skip connections.

    Every level is a `ConvBlock`. The encoder max-pools maps by two between levels. The decoder
    resizes maps bilinearly to the size of the skip and concatenates both, the resized maps first.
    With `conv_lstm`, the maps of the last level are pooled once more, and `ConvLSTM` layers over
    the clip are the bottleneck; otherwise the last level is, and frames do not affect each other.
    Sides that are not divisible by 2 to the number of poolings (16 by default with `conv_lstm`)
    are padded with copies of the last row and column, and the output is cropped.

    Attributes:
        channels: Number of channels of the levels, from the full size on.
        conv_lstm: Number of channels of each `ConvLSTM` layer at the bottleneck; empty for none.
        residual: Whether the last layer predicts a change of the input (see `add_bounded`) and not
            the colours themselves. The output is in [-1, 1] in both cases. Before training, a
            residual U-Net returns its input.
        width: Factor of all channel counts, for small models.
        one_block: Whether each level has a single convolution, which compiles fast.
        remat: What the backward pass recomputes (see `dfjax.models.remat`); `block` keeps the
            output of every level.
        bn: Constants of batch normalisation.
        compute: Dtype and lowering. The output is float32.
    """

    channels: tuple[int, ...] = (64, 128, 256, 512)
    conv_lstm: tuple[int, ...] = ()
    residual: bool = True
    width: float = 1.0
    one_block: bool = False
    remat: str = "none"
    bn: BNConstants = TORCH_BN
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, inputs: Inputs, *, train: bool
    ) -> tuple[Float[Array, "B T H W 3"], dict[str, Array]]:
        """Returns a restored frame for each frame of the clip, and no further outputs.

        Args:
            inputs: `rgb f32[B,T,H,W,3]` in [-1, 1] and `mask bool[B,T]`. Frames outside the mask
                affect neither batch statistics nor the recurrence.
            train: Whether to normalise by the statistics of the batch.
        """
        mask = inputs["mask"]
        clip = jnp.where(mask[:, :, None, None, None], inputs["rgb"], 0)  # padding may be NaN
        run = recompute(lambda unet, *arrays: unet.transform(*arrays, train=train), self.remat)
        change = run(self, clip, mask)
        restored = add_bounded(clip, change) if self.residual else jnp.tanh(change)
        return restored, {}

    @nn.nowrap
    def transform(
        self, clip: Float[Array, "B T H W 3"], mask: Bool[Array, "B T"], *, train: bool
    ) -> Float[Array, "B T H W 3"]:
        """Returns the output of the last convolution for every frame."""
        b, t, height, width, _ = clip.shape
        valid = mask.reshape(b * t)
        x = self._pad(clip.reshape(b * t, height, width, 3))
        skips = []
        for level in range(1, len(self.channels) + 1):
            x = max_pool(x, lowering=self.compute.lowering) if level > 1 else x
            x = self._run_block(x, valid, level, f"down{level}", train=train)
            skips.append(x)
        if self.conv_lstm:
            x = max_pool(x, lowering=self.compute.lowering)
            maps = x.reshape(b, t, *x.shape[1:])
            for number, features in enumerate(self.conv_lstm, 1):
                layer = ConvLSTM(
                    scaled_channels(features, self.width),
                    remat=self.remat != "none",
                    compute=self.compute,
                    name=f"conv_lstm{number}",
                )
                maps = layer(maps, mask)
            x = maps.reshape(b * t, *maps.shape[2:])
        else:
            skips.pop()  # the bottleneck itself
        for level in range(len(skips), 0, -1):
            skip = skips[level - 1]
            x = resize(x, (skip.shape[1], skip.shape[2]), antialias=False)
            x = jnp.concatenate([x, skip], axis=-1)
            x = self._run_block(x, valid, level, f"up{level}", train=train)
        first = nn.initializers.zeros if self.residual else HE_OUT
        rgb = Conv(3, use_bias=True, kernel_init=first, compute=self.compute, name="rgb")
        x = rgb(x)
        return x[:, :height, :width].astype(jnp.float32).reshape(clip.shape)

    @nn.nowrap
    def _pad(self, x: Float[Array, "n h w 3"]) -> Float[Array, "n H W 3"]:
        side = 2 ** (len(self.channels) - 1 + bool(self.conv_lstm))
        return jnp.pad(
            x, ((0, 0), (0, -x.shape[1] % side), (0, -x.shape[2] % side), (0, 0)), "edge"
        )

    @nn.nowrap
    def _run_block(self, x: Array, valid: Array, level: int, name: str, *, train: bool) -> Array:
        features = scaled_channels(self.channels[level - 1], self.width)
        count = 1 if self.one_block else 2
        block = ConvBlock(features, count, self.bn, self.compute, name=name)
        return mark_block(block(x, valid, train=train), train=train)


def add_bounded(
    clip: Float[Array, "*shape"], change: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """Returns `clip` moved towards -1 or 1 by the share `tanh(|change|)` of the distance to it.

    The result is in [-1, 1] where `clip` is, and equals `clip` where `change` is 0.

    Args:
        clip: Values in [-1, 1].
        change: Amount and direction of the change.
    """
    share = jnp.tanh(change)
    return clip * (1 - jnp.abs(share)) + share


def check_options(options: Options) -> None:
    """Checks the options of `UNet`.

    Raises:
        UsageError: There is no level.
    """
    if not options["channels"]:
        raise UsageError("unet needs at least one level: channels is empty")
