"""A plain stack of convolutions, for what no published backbone is made for."""

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
    """Returns the maps after a 3 x 3 convolution of stride 2 for each of `channels`.

    The convolutions have no bias; batch normalisation and ReLU follow each. To be called inside a
    compact module, whose layers it makes: `conv1`, `bn1`, `conv2` ….

    Args:
        x: maps.
        channels: of the maps after each convolution, which have half the side of those before.
        mask: maps that count in the batch statistics.
        train: batch statistics of the batch.
        compute: dtype and lowering.
    """
    for number, features in enumerate(channels, 1):
        x = Conv(features, 3, 2, AROUND, compute=compute, name=f"conv{number}")(x)
        x = BatchNorm(TORCH_BN, jax.nn.relu, name=f"bn{number}")(x, mask, train=train)
    return x
