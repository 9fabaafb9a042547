"""The optical flow of a clip as feature maps, one for every frame but the first."""

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from dfjax.models.conv_stack import stack_convs
from dfjax.models.layers import Compute


class FlowCNN(nn.Module):
    """The convolutions of `stack_convs`, whose normalisation makes up for the unit of the flow.

    Attributes:
        channels: of the maps after each convolution, which has half the side of the one before.
        compute: dtype and lowering.
    """

    channels: tuple[int, ...] = (64, 128, 256, 512, 512)
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, flow: Float[Array, "B t H W 2"], mask: Bool[Array, "B T"], *, train: bool
    ) -> tuple[Float[Array, "B T h w c"], Bool[Array, "B T"]]:
        """Returns the maps of the flow that leads to each frame, and which frames have one.

        Flow t goes from frame t to frame t + 1 and stands with the latter. The first frame has
        none, nor has one whose neighbour is padding: their maps are zeros.

        Args:
            flow: between neighbouring frames of the clip, t = T - 1.
            mask: frames that are there; flow from or to another one changes nothing.
            train: batch statistics of the batch.
        """
        b, t, *image = flow.shape
        valid = mask[:, :-1] & mask[:, 1:]
        # What stands between padding frames, even NaN, must not reach a sum.
        x = jnp.where(valid[:, :, None, None, None], flow, 0).reshape(b * t, *image)
        x = stack_convs(x, self.channels, valid.reshape(b * t), train=train, compute=self.compute)
        maps = jnp.where(valid[:, :, None, None, None], x.reshape(b, t, *x.shape[1:]), 0)
        first = ((0, 0), (1, 0))
        return jnp.pad(maps, (*first, (0, 0), (0, 0), (0, 0))), jnp.pad(valid, first)
