"""EfficientNet B0 to B7, Lite0 to Lite2 and V2-S as feature extractors.

Tan and Le, 2019 (B) and 2021 (V2). Lite is TensorFlow's variant for mobile devices: it has no
squeeze-and-excitation, ReLU6 instead of swish, and stem, top and the repeats of the first and last
stage are not scaled.
"""

import dataclasses
import math

import jax
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from dfjax.errors import unknown
from dfjax.models.layers import NO_PADDING, TF_BN, BatchNorm, BNConstants, Compute, Conv
from dfjax.models.mbconv import FusedMBConv, MBConv, Stage
from dfjax.ops.activations import Activation, lower_activation
from dfjax.ops.padding import pad_amounts

STAGES = (  # of B0, table 1 of the paper
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
V2S_STAGES = (  # table 4 of the second paper
    Stage(2, 3, 1, 1, 24, fused=True),
    Stage(4, 3, 2, 4, 48, fused=True),
    Stage(4, 3, 2, 4, 64, fused=True),
    Stage(6, 3, 2, 4, 128),
    Stage(9, 3, 1, 6, 160),
    Stage(15, 3, 2, 6, 256),
)
TOP = 1280
V2_BN = BNConstants(epsilon=1e-3, momentum=0.9, unbiased=False)


@dataclasses.dataclass(frozen=True)
class Scaling:
    """One variant.

    Attributes:
        width: Factor of the widths of the stages.
        depth: Factor of the repeats of the stages.
        size: Side of its native images.
        dropout: Dropout rate of the published classifier.
        stem: Width of the stem, before scaling.
        stages: Stages, before scaling.
        bn: Constants of batch normalisation.
        activation: Activation function.
        squeeze: Whether the blocks have squeeze-and-excitation.
        scale_ends: Whether the widths of stem and top and the repeats of the first and last stage
            are scaled like the others.
    """

    width: float
    depth: float
    size: int
    dropout: float
    stem: int = 32
    stages: tuple[Stage, ...] = STAGES
    bn: BNConstants = TF_BN
    activation: Activation = jax.nn.silu
    squeeze: bool = True
    scale_ends: bool = True


def _lite(width: float, depth: float, size: int, dropout: float) -> Scaling:
    return Scaling(
        width, depth, size, dropout, activation=jax.nn.relu6, squeeze=False, scale_ends=False
    )


SCALING = {
    "b0": Scaling(1.0, 1.0, 224, 0.2),
    "b1": Scaling(1.0, 1.1, 240, 0.2),
    "b2": Scaling(1.1, 1.2, 260, 0.3),
    "b3": Scaling(1.2, 1.4, 300, 0.3),
    "b4": Scaling(1.4, 1.8, 380, 0.4),
    "b5": Scaling(1.6, 2.2, 456, 0.4),
    "b6": Scaling(1.8, 2.6, 528, 0.5),
    "b7": Scaling(2.0, 3.1, 600, 0.5),
    "lite0": _lite(1.0, 1.0, 224, 0.2),
    "lite1": _lite(1.0, 1.1, 240, 0.2),
    "lite2": _lite(1.1, 1.2, 260, 0.3),
    "v2s": Scaling(1.0, 1.0, 384, 0.2, 24, V2S_STAGES, V2_BN),
}


def scaled_channels(channels: int, width: float) -> int:
    """Returns `channels * width` rounded to a multiple of 8, never more than 10 % below."""
    wanted = channels * width
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


def scaling(name: str) -> Scaling:
    """Returns the scaling of `b0` … `b7`, `lite0` … `lite2` or `v2s`.

    Raises:
        UsageError: The name is unknown.
    """
    if name not in SCALING:
        raise unknown("EfficientNet", name, SCALING)
    return SCALING[name]


def feature_channels(name: str, width: float = 1.0) -> int:
    """Returns the number of channels of the last feature map (1280 for B0, 1792 for B4).

    Args:
        name: Name of the variant.
        width: Factor of all channel counts.
    """
    scale = scaling(name)
    return scaled_channels(TOP, (scale.width if scale.scale_ends else 1) * width)


@dataclasses.dataclass(frozen=True)
class Block:
    """Position of one block in the network, with its stride; stage and position count from 1."""

    stage: Stage
    number: int
    position: int
    stride: int
    drop_path: float


class EfficientNet(nn.Module):
    """Feature extractor: stem, stages of (fused) `MBConv`, and the 1 x 1 top convolution.

    Attributes:
        variant: `b0` … `b7` or `lite0` … `lite2` (seven stages), or `v2s` (six stages).
        width: Factor of all channel counts, in addition to the variant's, for small models.
        one_block: Whether each stage has one block instead of the scaled repeats, which compiles
            fast.
        padding: `same`, `symmetric`, `static` or `dfb_stem_valid` (see `dfjax.ops.padding`).
        drop_path: Stochastic depth rate of the last block. The rate grows linearly from 0.
        bn: Constants of batch normalisation, or None for those of the variant's publication.
        compute: Dtype and lowering.
    """

    variant: str
    width: float = 1.0
    one_block: bool = False
    padding: str = "same"
    drop_path: float = 0.2
    bn: BNConstants | None = None
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, images: Float[Array, "n h w c"], mask: Bool[Array, "n"] | None = None, *, train: bool
    ) -> dict[str, Float[Array, "n _ _ _"]]:
        """Returns the maps `stem`, `stage1`, `stage2` … and `top`, by name.

        Args:
            images: Normalised images.
            mask: Which images count in the batch statistics, or None for all.
            train: Whether to use the statistics of the batch and stochastic depth.
        """
        scale = scaling(self.variant)
        width = scale.width * self.width
        ends = width if scale.scale_ends else self.width  # factor of stem and top
        bn = scale.bn if self.bn is None else self.bn
        activation = lower_activation(scale.activation, self.compute.lowering)
        native = scale.size
        pad = NO_PADDING
        if self.padding != "dfb_stem_valid":
            pad = pad_amounts(self.padding, (images.shape[1], images.shape[2]), 3, 2, native)
        x = Conv(
            scaled_channels(scale.stem, ends), 3, 2, pad, compute=self.compute, name="stem_conv"
        )(images)
        x = BatchNorm(bn, activation, name="stem_bn")(x, mask, train=train)
        maps = {"stem": x}
        native = -(-native // 2)
        for block in self.blocks():
            pad = pad_amounts(
                self.padding, (x.shape[1], x.shape[2]), block.stage.kernel, block.stride, native
            )
            x = (FusedMBConv if block.stage.fused else MBConv)(
                block.stage,
                block.stride,
                scaled_channels(block.stage.channels, width),
                pad,
                block.drop_path,
                bn,
                activation,
                scale.squeeze,
                self.compute,
                name=f"stage{block.number}_block{block.position}",
            )(x, mask, train=train)
            maps[f"stage{block.number}"] = x
            native = -(-native // block.stride)
        x = Conv(scaled_channels(TOP, ends), compute=self.compute, name="top_conv")(x)
        maps["top"] = BatchNorm(bn, activation, name="top_bn")(x, mask, train=train)
        return maps

    @nn.nowrap
    def blocks(self) -> list[Block]:
        """Returns the blocks in order, with their stride and drop-path rate."""
        scale = scaling(self.variant)
        last = len(scale.stages)
        counts = [
            1 if self.one_block
            else stage.repeats if number in (1, last) and not scale.scale_ends
            else math.ceil(stage.repeats * scale.depth)
            for number, stage in enumerate(scale.stages, 1)
        ]  # fmt: skip
        total = sum(counts)
        blocks: list[Block] = []
        for number, (stage, count) in enumerate(zip(scale.stages, counts), 1):
            for position in range(1, count + 1):
                rate = self.drop_path * len(blocks) / total
                stride = stage.stride if position == 1 else 1
                blocks.append(Block(stage, number, position, stride, rate))
        return blocks
