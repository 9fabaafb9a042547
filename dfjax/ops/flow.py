"""Warps images along optical flow, and finds the pixels whose flow can be trusted.

Flow is forward, from a frame to the next one: the pixel at p moves to `p + flow[p]`. Vectors are
(x, y) in pixels, with x to the right and y down.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from dfjax.ops.warp import sample

SHARE, SLACK = 0.01, 0.5
"""Constants of the forward-backward check (Sundaram et al., 2010, equation 5)."""

COVERED = 0.25  # least sum of bilinear weights at a pixel that flow leads to


def warp_back(
    images: Float[Array, "N H W C"], flow: Float[Array, "N H W 2"]
) -> Float[Array, "N H W C"]:
    """Returns the next frame as seen from this one: the bilinear sample at `p + flow[p]`.

    Positions outside the image are moved to its border.

    Args:
        images: Next frames.
        flow: Flow from these frames to the next ones.
    """
    height, width = images.shape[1:3]
    x, y = _follow(flow)
    return sample(images, jnp.clip(x, 0, width - 1), jnp.clip(y, 0, height - 1))


def find_consistent(flow: Float[Array, "N H W 2"]) -> Bool[Array, "N H W"]:
    """Returns which pixels of a frame are visible in the next one, by their flow.

    A pixel counts if it stays inside the image and passes the forward-backward check of Sundaram et
    al. (2010): the flow and the backward flow at its end cancel, up to 1 % of their squared lengths
    and 0.5 px^2. The backward flow is `invert(flow)`: where an object covers another, both end at
    the same pixels, so that their mean fits neither or only the larger of the two.

    Args:
        flow: Flow to the next frame.
    """
    height, width = flow.shape[1:3]
    x, y = _follow(flow)
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    back = warp_back(invert(flow), flow)
    length = jnp.sum(jnp.square(flow), -1) + jnp.sum(jnp.square(back), -1)
    return inside & (jnp.sum(jnp.square(flow + back), -1) <= SHARE * length + SLACK)


def invert(flow: Float[Array, "N H W 2"]) -> Float[Array, "N H W 2"]:
    """Returns the flow from the next frame back to this one.

    Every vector is added with the opposite sign to the four pixels around its end, with bilinear
    weights, and the sums are divided by the sums of the weights. Pixels that hardly any vector
    leads to, which were covered before, have flow 0.

    Args:
        flow: Flow to the next frame.
    """
    count, height, width, _ = flow.shape
    x, y = _follow(flow)
    left, upper = jnp.floor(x), jnp.floor(y)
    sums = jnp.zeros((count, height * width, 3), flow.dtype)
    values = jnp.concatenate([-flow, jnp.ones_like(flow[..., :1])], -1)
    rows = jnp.arange(count)[:, None]
    for column in (left, left + 1):
        for row in (upper, upper + 1):
            weight = (1 - jnp.abs(x - column)) * (1 - jnp.abs(y - row))
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            place = jnp.where(inside, row * width + column, height * width).astype(jnp.int32)
            share = (values * weight[..., None]).reshape(count, -1, 3)
            sums = sums.at[rows, place.reshape(count, -1)].add(share, mode="drop")
    sums = sums.reshape(count, height, width, 3)
    total = sums[..., 2:]
    return jnp.where(total >= COVERED, sums[..., :2] / jnp.maximum(total, COVERED), 0)


def _follow(flow: Float[Array, "N H W 2"]) -> tuple[Float[Array, "N H W"], Float[Array, "N H W"]]:
    """Returns the x and y of the ends of the vectors of a flow."""
    height, width = flow.shape[1:3]
    return flow[..., 0] + jnp.arange(width), flow[..., 1] + jnp.arange(height)[:, None]
