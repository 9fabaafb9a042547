"""Weights of the two classes, from the videos that are trained on."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from dfjax.errors import UsageError
from dfjax.losses.classification import targets
from dfjax.shapes import Batch, Logits, Loss, Outputs


class ClassWeights(NamedTuple):
    """What a clip's loss is multiplied with, by its class."""

    real: float
    fake: float


def make_class_weights(text: str, *, real: int, fake: int) -> ClassWeights | None:
    """Returns the weights that `text` asks for, or None.

    `balanced` is n / (2 n_class), so that both classes weigh the same and a video weighs 1 on
    average (King & Zeng 2001): 1,803 real and 10,126 fake videos give 3.308 and 0.589.

    Args:
        text: `none`, `balanced` or `W_REAL,W_FAKE`.
        real: real videos in training.
        fake: fake videos in training.

    Raises:
        UsageError: `text` is none of these, or a class that is to be balanced has no video.
    """
    if text == "none":
        return None
    if text == "balanced":
        if not real or not fake:
            raise UsageError(
                f"loss.class_weights=balanced needs both classes; training has {real} real and "
                f"{fake} fake videos"
            )
        return ClassWeights((real + fake) / (2 * real), (real + fake) / (2 * fake))
    try:
        first, second = (float(part) for part in text.split(","))
    except ValueError:
        first = second = -1.0
    if not (0.0 <= first < float("inf") and 0.0 <= second < float("inf") and first + second > 0):
        raise UsageError(
            f"loss.class_weights is none, balanced or W_REAL,W_FAKE such as 3.3,0.6, not {text!r}"
        )
    return ClassWeights(first, second)


def make_weighted(loss: Loss, weights: ClassWeights) -> Loss:
    """Returns `loss` times the weight of each clip's class; a mixed clip has the mixed weight.

    The mean stays one over clips, as Keras has it, so the weights also scale the gradient of a
    batch by the mixture of classes that it happens to have.
    """

    def weighted(logits: Logits, outputs: Outputs, batch: Batch) -> Float[Array, "B"]:
        target = targets(batch)
        weight = jnp.float32(weights.real) * (1.0 - target) + jnp.float32(weights.fake) * target
        return weight * loss(logits, outputs, batch)

    return weighted
