"""The classifier at the end of a detector."""

from collections.abc import Sequence

import jax
from jaxtyping import Array, Float

from dfjax.errors import UsageError
from dfjax.models.layers import Dense, Dropout


def classify(
    x: Float[Array, "B d"], widths: Sequence[int], rates: Sequence[float], *, train: bool
) -> Float[Array, "B"]:
    """Returns one logit per clip: per width a linear layer, ReLU and dropout, then the logit.

    To be called inside a compact module, whose layers it makes: `classifier_hidden1` …,
    `classifier_dropout1` … and `classifier_logit`.

    Args:
        x: features of every clip.
        widths: of the hidden layers.
        rates: of dropout, one per hidden layer.
        train: mode of dropout.
    """
    for number, (width, rate) in enumerate(zip(widths, rates, strict=True), 1):
        x = jax.nn.relu(Dense(width, name=f"classifier_hidden{number}")(x))
        x = Dropout(rate, name=f"classifier_dropout{number}")(x, train=train)
    return Dense(1, name="classifier_logit")(x)[:, 0]


def check_classifier(widths: Sequence[int], rates: Sequence[float]) -> None:
    """Raises a `UsageError` when there is not one dropout rate per hidden layer."""
    if len(widths) != len(rates):
        raise UsageError(f"{len(widths)} classifier layers but {len(rates)} dropout rates")
