"""What a detector is trained on: the main loss, class weights, and terms added to it."""

from collections.abc import Callable

from jaxtyping import Array, Float

from dfjax.errors import UsageError, unknown
from dfjax.losses.classification import make_bce, make_cross_entropy, make_focal
from dfjax.losses.contrastive import make_supcon
from dfjax.losses.method import make_method_loss
from dfjax.losses.temporal import temporal_consistency
from dfjax.losses.weighting import ClassWeights, make_weighted
from dfjax.shapes import Batch, Logits, Loss, Outputs

LOSSES: dict[str, Callable[..., Loss]] = {
    "bce": make_bce,
    "cross_entropy": make_cross_entropy,
    "focal": make_focal,
    "supcon": make_supcon,
}


def make_loss(
    name: str,
    *,
    smoothing: float = 0.0,
    gamma: float = 2.0,
    alpha: float = -1.0,
    temperature: float = 0.1,
    temporal: float = 0.0,
    method: float = 0.0,
    class_weights: ClassWeights | None = None,
    methods: int = 0,
) -> Loss:
    """Returns `loss(logits, outputs, batch) -> f32[B]`: the one called `name`, and what is added.

    Args:
        name: an entry of `LOSSES`.
        smoothing: of the labels, for all but `supcon`.
        gamma: of `focal`.
        alpha: of `focal`; -1: none.
        temperature: of `supcon`.
        temporal: weight of the temporal consistency that is added; 0: none.
        method: weight of the method loss that is added; 0: none.
        class_weights: of the main loss; the added terms are not weighted.
        methods: how many methods training has, real included.

    Raises:
        UsageError: an unknown name (the message lists the valid ones) or an impossible number.
    """
    options: dict[str, dict[str, float | None]] = {
        "bce": {"smoothing": smoothing},
        "cross_entropy": {"smoothing": smoothing},
        "focal": {
            "smoothing": smoothing,
            "gamma": gamma,
            "alpha": None if alpha == -1.0 else alpha,
        },
        "supcon": {"temperature": temperature},
    }
    if name not in LOSSES:
        raise unknown("loss", name, LOSSES)
    main = LOSSES[name](**options[name])
    main = make_weighted(main, class_weights) if class_weights else main
    terms: list[tuple[float, Loss]] = []
    for key, share, term in (
        ("temporal", temporal, temporal_consistency),
        ("method", method, make_method_loss(methods)),
    ):
        if not 0.0 <= share < float("inf"):
            raise UsageError(f"loss.{key} must not be negative, but is {share}")
        if share:
            terms.append((share, term))

    def loss(logits: Logits, outputs: Outputs, batch: Batch) -> Float[Array, "B"]:
        values = main(logits, outputs, batch)
        for share, term in terms:
            values = values + share * term(logits, outputs, batch)
        return values

    return loss
