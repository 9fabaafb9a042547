"""The classifier head of a detector, for clips and for single frames."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from dfjax.errors import UsageError
from dfjax.models.layers import Dense, Dropout

Classifier = Callable[..., Float[Array, "*n"]]
"""`classify(features f32[*n, d], *, train, dropout=True) -> logits f32[*n]`."""


def make_classifier(widths: Sequence[int], rates: Sequence[float]) -> Classifier:
    """Returns a classifier: a linear layer, ReLU and dropout for each width, then the logit.

    The function must be called inside a compact module; its layers are called `classifier_hidden1`,
    …, `classifier_dropout1`, … and `classifier_logit`. The classifier may be called several times.

    Args:
        widths: Widths of the hidden layers.
        rates: Dropout rates, one per hidden layer.
    """
    hidden = [
        (Dense(width, name=f"classifier_hidden{n}"), Dropout(rate, name=f"classifier_dropout{n}"))
        for n, (width, rate) in enumerate(zip(widths, rates, strict=True), 1)
    ]
    last = Dense(1, name="classifier_logit")

    def classify(
        x: Float[Array, "*n d"], *, train: bool, dropout: bool = True
    ) -> Float[Array, "*n"]:
        for dense, drop in hidden:
            x = jax.nn.relu(dense(x))
            x = drop(x, train=train) if dropout else x
        return last(x)[..., 0]

    return classify


def classify_frames(
    classify: Classifier, features: Float[Array, "B T d"], mask: Bool[Array, "B T"]
) -> Float[Array, "B T"]:
    """Returns a logit for every frame, 0 outside the mask, by the classifier without dropout.

    Args:
        classify: Classifier of the clip.
        features: Features of every frame, of the width that the classifier reads.
        mask: Which frames are valid.
    """
    return jnp.where(mask, classify(features, train=False, dropout=False), 0)


def check_classifier(widths: Sequence[int], rates: Sequence[float]) -> None:
    """Checks that there is one dropout rate per hidden layer.

    Raises:
        UsageError: The numbers of widths and rates differ.
    """
    if len(widths) != len(rates):
        raise UsageError(f"{len(widths)} classifier layers but {len(rates)} dropout rates")
