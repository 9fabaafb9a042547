"""The loss of a mask head, a logit for every cell of the last map: whether it is manipulated."""

import functools

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from dfjax import REAL
from dfjax.errors import UsageError
from dfjax.shapes import Batch, Logits, Outputs


def mask_loss(logits: Logits, outputs: Outputs, batch: Batch) -> Float[Array, "B"]:
    """Returns the binary cross-entropy of `outputs["mask_logits"]` f32[B,T,h,w], a mean per clip.

    The target of a cell is the mean of `batch["region"]` f32[B,T,H,W,1] over the pixels that it
    covers. The values of real clips are 0 where the batch has no region. The loss is 0 for fakes
    without a region: those with `region_known` bool[B] False, or all in a batch without it. Frames
    outside `mask` do not count.

    Raises:
        UsageError: The model has no mask head, or its output has another shape.
    """
    if "mask_logits" not in outputs:
        raise UsageError(
            "loss.mask needs a model with a mask head: frame_classifier has one with mask_head=True"
        )
    scores, shown = outputs["mask_logits"].astype(jnp.float32), batch["mask"]
    if scores.ndim != 4 or scores.shape[:2] != shown.shape:
        raise UsageError(f"mask_logits must be f32[B,T,h,w], but have the shape {scores.shape}")
    known = batch["label"] == REAL
    target = jnp.zeros_like(scores)
    if "region" in batch:
        known = batch["region_known"]
        target = average_cells(batch["region"][..., 0], scores.shape[2:])
    counted = shown & known[:, None]
    # Masked before the logarithm, so that the content of padding frames does not reach a gradient.
    scores, target = (jnp.where(counted[..., None, None], x, 0) for x in (scores, target))
    values = jnp.mean(optax.sigmoid_binary_cross_entropy(scores, target), axis=(2, 3))  # [B, T]
    values = jnp.where(counted, values, 0)
    return values.sum(axis=1) / jnp.maximum(counted.sum(axis=1), 1)


def average_cells(
    region: Float[Array, "*batch H W"], cells: tuple[int, ...]
) -> Float[Array, "*batch h w"]:
    """Returns the means of images over the cells of a grid, which need not divide the images.

    Args:
        region: Images.
        cells: Numbers of rows and columns of the grid.
    """
    rows, columns = (cover(n, m) for n, m in zip(region.shape[-2:], cells, strict=True))
    return jnp.einsum("kh,lw,...hw->...kl", rows, columns, region, optimize=True)


@functools.cache
def cover(size: int, cells: int) -> Float[np.ndarray, "{cells} {size}"]:
    """Returns which share of every cell of an axis each pixel covers; rows sum to 1."""
    edges = np.arange(cells + 1) * size / cells
    pixel = np.arange(size)
    low, high = np.maximum(edges[:-1, None], pixel), np.minimum(edges[1:, None], pixel + 1)
    return (np.maximum(high - low, 0) * cells / size).astype(np.float32)
