"""EfficientNet's inverted residual blocks, with a depthwise or a dense convolution."""

import dataclasses

from flax import linen as nn
from jaxtyping import Array, Bool, Float

from dfjax.models.layers import (
    BatchNorm,
    BNConstants,
    Compute,
    Conv,
    DepthwiseConv,
    DropPath,
    SqueezeExcite,
)
from dfjax.models.remat import mark_block
from dfjax.ops.activations import Activation
from dfjax.ops.padding import Padding


@dataclasses.dataclass(frozen=True)
class Stage:
    """One row of an architecture's table.

    Attributes:
        repeats: Number of blocks.
        kernel: Side of the kernel.
        stride: Stride of the first block.
        expand: Ratio of expanded to input channels.
        channels: Number of output channels.
        fused: Whether the blocks are `FusedMBConv` instead of `MBConv`.
    """

    repeats: int
    kernel: int
    stride: int
    expand: int
    channels: int
    fused: bool = False


class MBConv(nn.Module):
    """Inverted residual block: expand, depthwise, squeeze-and-excitation, project, skip.

    Attributes:
        stage: Stage that the block belongs to.
        stride: Stride of the depthwise convolution.
        channels: Number of output channels.
        padding: Numbers of zeros around the map of the depthwise convolution.
        drop_path: Stochastic depth rate of the residual branch.
        bn: Constants of batch normalisation.
        activation: Function applied after every convolution but the last.
        squeeze: Whether the block has squeeze-and-excitation; `FusedMBConv` never has it.
        compute: Dtype and lowering.
    """

    stage: Stage
    stride: int
    channels: int
    padding: Padding
    drop_path: float
    bn: BNConstants
    activation: Activation
    squeeze: bool
    compute: Compute

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w i"], mask: Bool[Array, "n"] | None, *, train: bool
    ) -> Float[Array, "n p q o"]:
        """Returns the block's output map."""
        inputs, skip = x.shape[-1], x
        if self.stage.expand != 1:
            x = Conv(inputs * self.stage.expand, compute=self.compute, name="expand_conv")(x)
            x = BatchNorm(self.bn, self.activation, name="expand_bn")(x, mask, train=train)
        x = DepthwiseConv(
            self.stage.kernel,
            self.stride,
            self.padding,
            compute=self.compute,
            name="depthwise_conv",
        )(x)
        x = BatchNorm(self.bn, self.activation, name="depthwise_bn")(x, mask, train=train)
        if self.squeeze:
            x = SqueezeExcite(max(1, inputs // 4), compute=self.compute, name="se")(x)
        x = Conv(self.channels, compute=self.compute, name="project_conv")(x)
        x = BatchNorm(self.bn, name="project_bn")(x, mask, train=train)
        if self.stride == 1 and inputs == self.channels:
            x = DropPath(self.drop_path, name="drop_path")(x, train=train) + skip
        return mark_block(x, train=train)


class FusedMBConv(nn.Module):
    """Inverted residual block whose expansion and depthwise convolution are one dense convolution.

    It has no squeeze-and-excitation, as in EfficientNetV2-S. With an expansion of 1 the dense
    convolution is the only one and is followed by the activation.

    The attributes are those of `MBConv`.
    """

    stage: Stage
    stride: int
    channels: int
    padding: Padding
    drop_path: float
    bn: BNConstants
    activation: Activation
    squeeze: bool
    compute: Compute

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w i"], mask: Bool[Array, "n"] | None, *, train: bool
    ) -> Float[Array, "n p q o"]:
        """Returns the block's output map."""
        inputs, skip = x.shape[-1], x
        kernel, stride, padding = self.stage.kernel, self.stride, self.padding
        if self.stage.expand == 1:
            x = Conv(
                self.channels, kernel, stride, padding, compute=self.compute, name="project_conv"
            )(x)
            x = BatchNorm(self.bn, self.activation, name="project_bn")(x, mask, train=train)
        else:
            wide = inputs * self.stage.expand
            x = Conv(wide, kernel, stride, padding, compute=self.compute, name="expand_conv")(x)
            x = BatchNorm(self.bn, self.activation, name="expand_bn")(x, mask, train=train)
            x = Conv(self.channels, compute=self.compute, name="project_conv")(x)
            x = BatchNorm(self.bn, name="project_bn")(x, mask, train=train)
        if self.stride == 1 and inputs == self.channels:
            x = DropPath(self.drop_path, name="drop_path")(x, train=train) + skip
        return mark_block(x, train=train)
