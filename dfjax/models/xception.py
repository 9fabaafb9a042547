"""Xception (Chollet, 2017) as a feature extractor with all endpoints."""

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
from dfjax.ops.padding import pad_amounts
from dfjax.ops.pool import max_pool

STEM = (32, 64)
MIDDLE = 728
ENTRY = ((128, 128), (256, 256), (MIDDLE, MIDDLE))
REPEATS = 8  # of the middle flow
EXIT = (MIDDLE, 1024)
TOP = (1536, 2048)


def xception_channels(width: float = 1.0) -> int:
    """Returns the channels of the last feature map (2048)."""
    return scaled_channels(TOP[-1], width)


class SeparableConv(nn.Module):
    """3 x 3 depthwise convolution, then a 1 x 1 convolution; neither has a bias."""

    features: int
    compute: Compute

    @nn.compact
    def __call__(self, x: Float[Array, "n h w i"]) -> Float[Array, "n h w o"]:
        """Returns the convolved maps, as large as `x`."""
        around = ((1, 1), (1, 1))
        x = DepthwiseConv(3, 1, around, compute=self.compute, name="depthwise")(x)
        return Conv(self.features, compute=self.compute, name="pointwise")(x)


class XceptionBlock(nn.Module):
    """Separable convolutions, each after a ReLU, beside a shortcut.

    Attributes:
        features: channels of the convolutions.
        down: halves the map by max pooling; the shortcut is then a 1 x 1 convolution of stride 2.
        activate: a ReLU before the first convolution as well (not after the stem, which ends in
            one).
        padding: flavour of the pooling, see `dfjax.ops.padding`.
        drop_path: rate at which the residual branch is left out.
        bn: constants of batch normalisation.
        compute: dtype and lowering.
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
        return DropPath(self.drop_path, name="drop_path")(branch, train=train) + x


class Xception(nn.Module):
    """Feature extractor: unpadded stem, entry flow, middle flow, exit flow.

    Attributes:
        width: multiplies every width, for small models.
        one_block: no middle flow: one block per stage, compiles fast.
        padding: of the poolings: `same` (Keras) or `symmetric` (torch), see `dfjax.ops.padding`.
        drop_path: stochastic depth of the last block; the rate grows linearly from 0.
        bn: constants of batch normalisation.
        compute: dtype and lowering.
    """

    width: float = 1.0
    one_block: bool = False
    padding: str = "same"
    drop_path: float = 0.0
    bn: BNConstants = TF_BN
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, images: Float[Array, "n h w 3"], mask: Bool[Array, "n"] | None = None, *, train: bool
    ) -> dict[str, Float[Array, "n _ _ _"]]:
        """Returns the maps `stem`, `stage1` … `stage4` and `top`, by name.

        The middle flow belongs to `stage3`; all but `stem` and `top` are taken before the ReLU.

        Args:
            images: normalised images.
            mask: images that count in the batch statistics; None: all.
            train: batch statistics and stochastic depth.
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
        """Returns stage and position, counted from 1, and channels of every block, in order."""
        blocks: list[tuple[int, int, tuple[int, ...]]] = []
        for stage, channels in enumerate((*ENTRY, EXIT), 1):
            blocks.append((stage, 1, channels))
            if stage == len(ENTRY) and not self.one_block:
                middle = (MIDDLE,) * 3
                blocks += [(stage, position, middle) for position in range(2, REPEATS + 2)]
        return blocks
