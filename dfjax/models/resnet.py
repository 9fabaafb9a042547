"""ResNet 18, 34 and 50 (He et al., 2016) as feature extractors."""

import dataclasses

import jax
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from dfjax.errors import unknown
from dfjax.models.efficientnet import scaled_channels
from dfjax.models.layers import TORCH_BN, BatchNorm, BNConstants, Compute, Conv, DropPath
from dfjax.models.remat import mark_block
from dfjax.ops.padding import Padding, pad_amounts
from dfjax.ops.pool import max_pool

STEM = 64
WIDTHS = (64, 128, 256, 512)
CAFFE = "caffe"
EXPANSION = 4  # ratio of a bottleneck's output channels to its inner channels


KERAS_BN = BNConstants(epsilon=1.001e-5, momentum=0.99, unbiased=False)


@dataclasses.dataclass(frozen=True)
class Depth:
    """One variant.

    Attributes:
        repeats: Number of blocks of every stage.
        bottleneck: Whether they are bottlenecks (1 x 1, 3 x 3, 1 x 1).
        stride_first: Whether the first convolution of a bottleneck has the stride of the block, as
            in the paper, Caffe and Keras, instead of the 3 x 3 convolution, as in torchvision.
        bn: Constants of batch normalisation.
    """

    repeats: tuple[int, int, int, int]
    bottleneck: bool
    stride_first: bool = False
    bn: BNConstants = TORCH_BN


DEPTHS = {
    "resnet18": Depth((2, 2, 2, 2), bottleneck=False),
    "resnet34": Depth((3, 4, 6, 3), bottleneck=False),
    "resnet50": Depth((3, 4, 6, 3), bottleneck=True),
    "resnet50_v1": Depth((3, 4, 6, 3), bottleneck=True, stride_first=True, bn=KERAS_BN),
}


def depth(name: str) -> Depth:
    """Returns the depth of `resnet18`, `resnet34`, `resnet50` or `resnet50_v1`.

    Raises:
        UsageError: The name is unknown.
    """
    if name not in DEPTHS:
        raise unknown("ResNet", name, DEPTHS)
    return DEPTHS[name]


def resnet_channels(name: str, width: float = 1.0) -> int:
    """Returns the number of channels of the last feature map (512 for 18 and 34, 2048 for 50).

    Args:
        name: Name of the variant.
        width: Factor of all channel counts.
    """
    return scaled_channels(WIDTHS[-1], width) * (EXPANSION if depth(name).bottleneck else 1)


class ResidualBlock(nn.Module):
    """Residual block with two 3 x 3 convolutions or a bottleneck, and a ReLU after the sum.

    The first 3 x 3 convolution has the stride of the block ("v1.5"), or with `stride_first` the
    first 1 x 1 convolution of a bottleneck. If the stride is not 1 or the number of channels
    changes, the shortcut is a 1 x 1 convolution.

    Attributes:
        features: Number of channels of the 3 x 3 convolutions.
        bottleneck: Whether the convolutions are 1 x 1, 3 x 3 and 1 x 1, the last with four times
            as many channels.
        stride: Stride of the block.
        stride_first: Whether the first convolution of a bottleneck has the stride.
        padding: Padding rule (see `dfjax.ops.padding`).
        drop_path: Stochastic depth rate of the residual branch.
        bn: Constants of batch normalisation.
        compute: Dtype and lowering.
    """

    features: int
    bottleneck: bool
    stride: int
    stride_first: bool
    padding: str
    drop_path: float
    bn: BNConstants
    compute: Compute

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w i"], mask: Bool[Array, "n"] | None, *, train: bool
    ) -> Float[Array, "n p q o"]:
        """Returns the block's output map."""
        branch, (*inner, last) = x, self._convolutions()
        for number, (features, kernel, stride) in enumerate(inner, 1):
            branch = self._conv(branch, features, kernel, stride, f"conv{number}")
            branch = BatchNorm(self.bn, jax.nn.relu, name=f"bn{number}")(branch, mask, train=train)
        number = len(inner) + 1
        branch = self._conv(branch, *last, f"conv{number}")
        branch = BatchNorm(self.bn, name=f"bn{number}")(branch, mask, train=train)
        branch = DropPath(self.drop_path, name="drop_path")(branch, train=train)
        if self.stride != 1 or x.shape[-1] != branch.shape[-1]:
            x = self._conv(x, branch.shape[-1], 1, self.stride, "shortcut_conv")
            x = BatchNorm(self.bn, name="shortcut_bn")(x, mask, train=train)
        return mark_block(jax.nn.relu(branch + x), train=train)

    @nn.nowrap
    def _convolutions(self) -> list[tuple[int, int, int]]:
        """Returns the channels, kernel and stride of the branch's convolutions."""
        if self.bottleneck:
            wide = self.features * EXPANSION
            first, second = (self.stride, 1) if self.stride_first else (1, self.stride)
            return [(self.features, 1, first), (self.features, 3, second), (wide, 1, 1)]
        return [(self.features, 3, self.stride), (self.features, 3, 1)]

    def _conv(self, x: Array, features: int, kernel: int, stride: int, name: str) -> Array:
        size = (x.shape[1], x.shape[2])
        pad = pad_amounts(_convolutions(self.padding), size, kernel, stride, size[0])
        return Conv(features, kernel, stride, pad, compute=self.compute, name=name)(x)


def _convolutions(rule: str) -> str:
    """Returns the padding rule of the convolutions."""
    return "symmetric" if rule == CAFFE else rule


def _pooling(rule: str, size: tuple[int, int]) -> Padding:
    """Returns the padding of the pooling; Caffe lets the last window reach over the edge."""
    if rule == CAFFE:
        return ((0, 1 - size[0] % 2), (0, 1 - size[1] % 2))
    return pad_amounts(rule, size, 3, 2, size[0])


class ResNet(nn.Module):
    """Feature extractor: 7 x 7 stem, max pooling, four stages of residual blocks.

    Attributes:
        variant: `resnet18`, `resnet34`, `resnet50` or `resnet50_v1`.
        width: Factor of all channel counts, for small models.
        one_block: Whether each stage has a single block, which compiles fast.
        padding: `symmetric` (torchvision) or `same` (see `dfjax.ops.padding`), or `caffe`, which is
            symmetric but for the pooling.
        drop_path: Stochastic depth rate of the last block. The rate grows linearly from 0.
        bn: Constants of batch normalisation, or None for those of the variant.
        compute: Dtype and lowering.
    """

    variant: str
    width: float = 1.0
    one_block: bool = False
    padding: str = "symmetric"
    drop_path: float = 0.0
    bn: BNConstants | None = None
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, images: Float[Array, "n h w c"], mask: Bool[Array, "n"] | None = None, *, train: bool
    ) -> dict[str, Float[Array, "n _ _ _"]]:
        """Returns the maps `stem` (before pooling), `stage1` … `stage4`, and `top`, the last one.

        Args:
            images: Normalised images.
            mask: Which images count in the batch statistics, or None for all.
            train: Whether to use the statistics of the batch and stochastic depth.
        """
        variant = depth(self.variant)
        bn = variant.bn if self.bn is None else self.bn
        size = (images.shape[1], images.shape[2])
        pad = pad_amounts(_convolutions(self.padding), size, 7, 2, size[0])
        x = Conv(
            scaled_channels(STEM, self.width), 7, 2, pad, compute=self.compute, name="stem_conv"
        )(images)
        x = BatchNorm(bn, jax.nn.relu, name="stem_bn")(x, mask, train=train)
        maps = {"stem": x}
        size = (x.shape[1], x.shape[2])
        pad = _pooling(self.padding, size)
        x = max_pool(x, window=3, padding=pad, lowering=self.compute.lowering)
        repeats = (1,) * len(WIDTHS) if self.one_block else variant.repeats
        done = 0
        for stage, (count, features) in enumerate(zip(repeats, WIDTHS), 1):
            for position in range(1, count + 1):
                x = ResidualBlock(
                    scaled_channels(features, self.width),
                    variant.bottleneck,
                    2 if stage > 1 and position == 1 else 1,
                    variant.stride_first,
                    self.padding,
                    self.drop_path * done / sum(repeats),
                    bn,
                    self.compute,
                    name=f"stage{stage}_block{position}",
                )(x, mask, train=train)
                done += 1
            maps[f"stage{stage}"] = x
        return maps | {"top": x}
