"""A plain stack of strided convolutions, for inputs that no published backbone fits."""

from collections.abc import Sequence

import jax
from jaxtyping import Array, Bool, Float

from dfjax.models.layers import TORCH_BN, BatchNorm, Compute, Conv

AROUND = ((1, 1), (1, 1))


def stack_convs(
    x: Float[Array, "n h w i"],
    channels: Sequence[int],
    mask: Bool[Array, "n"],
    *,
    train: bool,
    compute: Compute,
) -> Float[Array, "n p q o"]:
    """Returns `x` after one 3 x 3 convolution of stride 2 for each entry of `channels`.

    The convolutions have no bias and are followed by batch normalisation and ReLU. The function
    must be called inside a compact module; its layers are called `conv1`, `bn1`, `conv2` ….

    Args:
        x: Feature maps.
        channels: Number of output channels of each convolution. Each halves the side of the map.
        mask: Which maps count in the batch statistics.
        train: Whether to normalise by the statistics of the batch.
        compute: Dtype and lowering.
    """
    for number, features in enumerate(channels, 1):
        x = Conv(features, 3, 2, AROUND, compute=compute, name=f"conv{number}")(x)
        x = BatchNorm(TORCH_BN, jax.nn.relu, name=f"bn{number}")(x, mask, train=train)
    return x
