"""Alignment and uniformity of unit features (Wang and Isola, 2020), with labels as in GenD.

Both compare the clips of a batch on all devices (with `train.accumulate`, of its part of the batch)
in pairs, without those of weight 0. Every clip gets the value of the batch, so that the weighted
mean is this value.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from dfjax.errors import UsageError
from dfjax.shapes import Batch, Logits, Outputs

SHORTEST = 1e-24  # smallest squared length that vectors are divided by
TEMPERATURE = 2.0  # of the uniformity, "t" in the paper
LEAST = 1e-6  # smallest mean whose logarithm is taken, as in GenD


def alignment(logits: Logits, outputs: Outputs, batch: Batch) -> Float[Array, "B"]:
    """Returns the mean squared distance of two clips of one class, 0 without such a pair.

    Raises:
        UsageError: The model has no features, or the clips are mixed.
    """
    distances, pairs = _compare("alignment", outputs, batch)
    label = batch["label"]
    pairs = pairs & (label[:, None] == label[None, :])
    return jnp.broadcast_to(_mean(distances, pairs), logits.shape)


def uniformity(logits: Logits, outputs: Outputs, batch: Batch) -> Float[Array, "B"]:
    """Returns the logarithm of the mean Gaussian potential of two clips, 0 without two clips.

    Raises:
        UsageError: The model has no features, or the clips are mixed.
    """
    distances, pairs = _compare("uniformity", outputs, batch)
    mean = _mean(jnp.exp(-TEMPERATURE * distances), pairs)
    value = jnp.where(pairs.any(), jnp.log(jnp.maximum(mean, LEAST)), 0.0)
    return jnp.broadcast_to(value, logits.shape)


def _compare(
    name: str, outputs: Outputs, batch: Batch
) -> tuple[Float[Array, "B B"], Bool[Array, "B B"]]:
    """Returns the squared distances of unit features, and which pairs count, each once."""
    if "features" not in outputs:
        raise UsageError(f"loss.{name} needs a model that returns features: set loss.{name}=0")
    if "target" in batch:
        raise UsageError(f"loss.{name} needs unmixed clips: set mix.mixup=0 mix.cutmix=0")
    features = outputs["features"].astype(jnp.float32)
    length = jnp.sum(jnp.square(features), axis=-1, keepdims=True)
    unit = features * jax.lax.rsqrt(jnp.maximum(length, SHORTEST))
    cosines = jnp.matmul(unit, unit.T, precision="highest")
    valid = batch["weight"] > 0
    pairs = jnp.triu(valid[:, None] & valid[None, :], k=1)
    return jnp.maximum(2.0 - 2.0 * cosines, 0.0), pairs


def _mean(values: Float[Array, "B B"], pairs: Bool[Array, "B B"]) -> Float[Array, ""]:
    return jnp.where(pairs, values, 0.0).sum() / jnp.maximum(pairs.sum(), 1)
