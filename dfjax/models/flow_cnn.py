"""A small convolutional network over the optical flow of a clip."""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from dfjax.models.conv_stack import stack_convs
from dfjax.models.layers import Compute


class FlowCNN(nn.Module):
    """Convolutions of `stack_convs` over optical flow.

    The flow is not rescaled, because batch normalisation compensates for its unit (pixels).

    Attributes:
        channels: Number of output channels of each convolution. Each halves the side of the map.
        compute: Dtype and lowering.
    """

    channels: tuple[int, ...] = (64, 128, 256, 512, 512)
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, flow: Float[Array, "B t H W 2"], mask: Bool[Array, "B T"], *, train: bool
    ) -> tuple[Float[Array, "B T h w c"], Bool[Array, "B T"]]:
        """Returns the maps of the flow that leads to each frame, and which frames have such maps.

        The flow from frame t to frame t + 1 belongs to frame t + 1. The first frame has no flow,
        and neither has a frame after or at a padding frame; their maps are zeros.

        Args:
            flow: Flow between consecutive frames of the clip in pixels, t = T - 1.
            mask: Which frames are valid; flow from or to other frames is ignored.
            train: Whether to normalise by the statistics of the batch.
        """
        b, t, *image = flow.shape
        valid = mask[:, :-1] & mask[:, 1:]
        # The flow between padding frames may be NaN and must not reach a sum.
        x = jnp.where(valid[:, :, None, None, None], flow, 0).reshape(b * t, *image)
        x = stack_convs(x, self.channels, valid.reshape(b * t), train=train, compute=self.compute)
        maps = jnp.where(valid[:, :, None, None, None], x.reshape(b, t, *x.shape[1:]), 0)
        first = ((0, 0), (1, 0))
        return jnp.pad(maps, (*first, (0, 0), (0, 0), (0, 0))), jnp.pad(valid, first)
