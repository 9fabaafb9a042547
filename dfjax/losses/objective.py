"""The objective of a detector: the main loss with class weights, and additional terms."""

import functools
from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Float

from dfjax.errors import UsageError
from dfjax.losses.hypersphere import alignment as align
from dfjax.losses.hypersphere import uniformity as spread
from dfjax.losses.low_rank import orthogonality as orthonormal
from dfjax.losses.low_rank import singular_values as keep_values
from dfjax.losses.mask import mask_loss
from dfjax.losses.method import make_method_loss
from dfjax.losses.temporal import temporal_consistency
from dfjax.losses.weighting import ClassWeights, make_weighted
from dfjax.shapes import Batch, Logits, Loss, Objective, Outputs

ADDED = (
    *("temporal", "method", "mask", "uniformity", "alignment"),
    *("orthogonality", "singular_values"),
)
"""Terms that a config can add to its main loss."""


def make_objective(
    name: str,
    loss: Loss,
    *,
    class_weights: ClassWeights | None = None,
    temporal: float = 0.0,
    method: float = 0.0,
    methods: int = 0,
    mask: float = 0.0,
    uniformity: float = 0.0,
    alignment: float = 0.0,
    orthogonality: float = 0.0,
    singular_values: float = 0.0,
) -> Objective:
    """Returns the function `objective(logits, outputs, batch) -> {term: f32[B]}`.

    The terms are the main loss, by its name, and those of `ADDED` whose factors are not 0.

    Args:
        name: Name of the main loss.
        loss: Main loss.
        class_weights: Class weights of the main loss; the other terms have none.
        temporal: Factor of the temporal consistency; 0 for none.
        method: Factor of the method loss; 0 for none.
        methods: Number of classes of the method head, including `real`.
        mask: Factor of the loss of the mask head; 0 for none.
        uniformity: Factor of the uniformity of unit features; 0 for none.
        alignment: Factor of the alignment of unit features of one class; 0 for none.
        orthogonality: Factor of the penalty of singular vectors of `svd` adapters; 0 for none.
        singular_values: Factor of the penalty of their singular values; 0 for none.

    Raises:
        UsageError: A factor is negative, or the main loss has the name of an added term.
    """
    if name in ADDED:
        raise UsageError(f"the loss {name} has the name of an added term: give it another name")
    terms = {name: make_weighted(loss, class_weights) if class_weights else loss}
    for key, share, term in (
        ("temporal", temporal, temporal_consistency),
        ("method", method, make_method_loss(methods)),
        ("mask", mask, mask_loss),
        ("uniformity", uniformity, spread),
        ("alignment", alignment, align),
        ("orthogonality", orthogonality, orthonormal),
        ("singular_values", singular_values, keep_values),
    ):
        if not 0.0 <= share < float("inf"):
            raise UsageError(f"loss.{key} must not be negative, not {share}")
        if share:
            terms[key] = _times(share, term)

    def objective(logits: Logits, outputs: Outputs, batch: Batch) -> dict[str, Array]:
        return {key: term(logits, outputs, batch) for key, term in terms.items()}

    return objective


def add_terms(terms: Mapping[str, Float[Array, "B"]]) -> Float[Array, "B"]:
    """Returns the loss of each clip, the sum of its terms."""
    return functools.reduce(jnp.add, terms.values())


def sum_objective(objective: Objective) -> Loss:
    """Returns a loss that is the sum of the terms of `objective`."""

    def loss(logits: Logits, outputs: Outputs, batch: Batch) -> Float[Array, "B"]:
        return add_terms(objective(logits, outputs, batch))

    return loss


def _times(share: float, term: Loss) -> Loss:
    def scaled(logits: Logits, outputs: Outputs, batch: Batch) -> Float[Array, "B"]:
        return share * term(logits, outputs, batch)

    return scaled
