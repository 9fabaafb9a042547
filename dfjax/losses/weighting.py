"""Class weights, computed from the numbers of training videos."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from dfjax.errors import UsageError
from dfjax.losses.classification import targets
from dfjax.shapes import Batch, Logits, Loss, Outputs


class ClassWeights(NamedTuple):
    """Factors of the loss of a clip, by its class."""

    real: float
    fake: float


def make_class_weights(text: str, *, real: int, fake: int) -> ClassWeights | None:
    """Returns the class weights that `text` describes, or None for no weights.

    `balanced` means n / (2 n_class), with which both classes have the same total weight and the
    mean weight is 1 (King and Zeng, 2001): 1,803 real and 10,126 fake videos have the weights 3.308
    and 0.589.

    Args:
        text: `none`, `balanced` or `W_REAL,W_FAKE`.
        real: Number of real training videos.
        fake: Number of fake training videos.

    Raises:
        UsageError: `text` is none of these, or it is `balanced` and a class has no video.
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
            "loss.class_weights must be none, balanced or W_REAL,W_FAKE such as 3.3,0.6, not "
            f"{text!r}"
        )
    return ClassWeights(first, second)


def make_weighted(loss: Loss, weights: ClassWeights) -> Loss:
    """Returns `loss` multiplied by the class weight of each clip, which is mixed for mixed clips.

    As in Keras, the weights do not change the divisor of the mean over clips, so the gradient of a
    batch also depends on the numbers of clips of both classes in it.

    Args:
        loss: Loss of each clip.
        weights: Class weights.
    """

    def weighted(logits: Logits, outputs: Outputs, batch: Batch) -> Float[Array, "B"]:
        target = targets(batch)
        weight = jnp.float32(weights.real) * (1.0 - target) + jnp.float32(weights.fake) * target
        return weight * loss(logits, outputs, batch)

    return weighted
