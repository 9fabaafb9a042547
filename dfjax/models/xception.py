"""Xception (Chollet, 2017) as a feature extractor."""

import jax
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from dfjax.models.efficientnet import scaled_channels
from dfjax.models.layers import (
    TF_BN,
    BatchNorm,
    BNConstants,
    Compute,
    Conv,
    DepthwiseConv,
    DropPath,
)
from dfjax.models.remat import mark_block
from dfjax.ops.padding import pad_amounts
from dfjax.ops.pool import max_pool

STEM = (32, 64)
MIDDLE = 728
ENTRY = ((128, 128), (256, 256), (MIDDLE, MIDDLE))
REPEATS = 8  # blocks of the middle flow
EXIT = (MIDDLE, 1024)
TOP = (1536, 2048)


def xception_channels(width: float = 1.0) -> int:
    """Returns the number of channels of the last feature map, 2048 times `width`."""
    return scaled_channels(TOP[-1], width)


class SeparableConv(nn.Module):
    """A 3 x 3 depthwise and a 1 x 1 convolution, both without bias.

    Attributes:
        features: Number of output channels.
        compute: Dtype and lowering.
    """

    features: int
    compute: Compute

    @nn.compact
    def __call__(self, x: Float[Array, "n h w i"]) -> Float[Array, "n h w o"]:
        """Returns the convolved maps, which have the size of `x`."""
        around = ((1, 1), (1, 1))
        x = DepthwiseConv(3, 1, around, compute=self.compute, name="depthwise")(x)
        return Conv(self.features, compute=self.compute, name="pointwise")(x)


class XceptionBlock(nn.Module):
    """Residual block of separable convolutions, each preceded by a ReLU.

    Attributes:
        features: Number of channels of each convolution.
        down: Whether max pooling halves the map; the shortcut is then a 1 x 1 convolution of
            stride 2.
        activate: Whether a ReLU precedes the first convolution. The block after the stem has none,
            because the stem ends in a ReLU.
        padding: Padding rule of the pooling (see `dfjax.ops.padding`).
        drop_path: Stochastic depth rate of the residual branch.
        bn: Constants of batch normalisation.
        compute: Dtype and lowering.
    """

    features: tuple[int, ...]
    down: bool
    activate: bool
    padding: str
    drop_path: float
    bn: BNConstants
    compute: Compute

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w i"], mask: Bool[Array, "n"] | None, *, train: bool
    ) -> Float[Array, "n p q o"]:
        """Returns the block's output map."""
        branch = jax.nn.relu(x) if self.activate else x
        for number, features in enumerate(self.features, 1):
            between = jax.nn.relu if number < len(self.features) else None
            branch = SeparableConv(features, self.compute, name=f"sepconv{number}")(branch)
            branch = BatchNorm(self.bn, between, name=f"bn{number}")(branch, mask, train=train)
        if self.down:
            size = (branch.shape[1], branch.shape[2])
            pad = pad_amounts(self.padding, size, 3, 2, size[0])
            branch = max_pool(branch, window=3, padding=pad, lowering=self.compute.lowering)
            x = Conv(self.features[-1], 1, 2, compute=self.compute, name="shortcut_conv")(x)
            x = BatchNorm(self.bn, name="shortcut_bn")(x, mask, train=train)
        x = DropPath(self.drop_path, name="drop_path")(branch, train=train) + x
        return mark_block(x, train=train)


class Xception(nn.Module):
    """Feature extractor: unpadded stem, entry flow, middle flow, exit flow.

    Attributes:
        width: Factor of all channel counts, for small models.
        one_block: Whether each stage has a single block, without middle flow; this compiles fast.
        padding: Padding rule of the poolings, `same` (Keras) or `symmetric` (torch); see
            `dfjax.ops.padding`.
        drop_path: Stochastic depth rate of the last block. The rate grows linearly from 0.
        bn: Constants of batch normalisation.
        compute: Dtype and lowering.
    """

    width: float = 1.0
    one_block: bool = False
    padding: str = "same"
    drop_path: float = 0.0
    bn: BNConstants = TF_BN
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, images: Float[Array, "n h w c"], mask: Bool[Array, "n"] | None = None, *, train: bool
    ) -> dict[str, Float[Array, "n _ _ _"]]:
        """Returns the maps `stem`, `stage1` … `stage4` and `top`, by name.

        The middle flow belongs to `stage3`. The maps of the stages are taken before the ReLU.

        Args:
            images: Normalised images.
            mask: Which images count in the batch statistics, or None for all.
            train: Whether to use the statistics of the batch and stochastic depth.
        """
        x = images
        for number, (features, stride) in enumerate(zip(STEM, (2, 1)), 1):
            width = scaled_channels(features, self.width)
            x = Conv(width, 3, stride, compute=self.compute, name=f"stem_conv{number}")(x)
            x = BatchNorm(self.bn, jax.nn.relu, name=f"stem_bn{number}")(x, mask, train=train)
        maps = {"stem": x}
        blocks = self.blocks()
        for done, (stage, position, channels) in enumerate(blocks):
            x = XceptionBlock(
                tuple(scaled_channels(features, self.width) for features in channels),
                position == 1,
                done > 0,
                self.padding,
                self.drop_path * done / len(blocks),
                self.bn,
                self.compute,
                name=f"stage{stage}_block{position}",
            )(x, mask, train=train)
            maps[f"stage{stage}"] = x
        for number, features in enumerate(TOP, 1):
            width = scaled_channels(features, self.width)
            x = SeparableConv(width, self.compute, name=f"top_sepconv{number}")(x)
            x = BatchNorm(self.bn, jax.nn.relu, name=f"top_bn{number}")(x, mask, train=train)
        return maps | {"top": x}

    @nn.nowrap
    def blocks(self) -> list[tuple[int, int, tuple[int, ...]]]:
        """Returns the stage, the position in it (both from 1) and the channels of every block."""
        blocks: list[tuple[int, int, tuple[int, ...]]] = []
        for stage, channels in enumerate((*ENTRY, EXIT), 1):
            blocks.append((stage, 1, channels))
            if stage == len(ENTRY) and not self.one_block:
                middle = (MIDDLE,) * 3
                blocks += [(stage, position, middle) for position in range(2, REPEATS + 2)]
        return blocks
