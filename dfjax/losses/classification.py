"""Real-or-fake losses on one logit per clip: `loss(logits, batch) -> f32[B]`, never reduced.

Weights, masks and the mean are applied once, by `weighted_mean`, so that a padded clip cannot count
in one place and be forgotten in another.
"""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfjax.errors import UsageError, unknown
from dfjax.shapes import Batch, Logits

Loss = Callable[[Logits, Batch], Float[Array, "B"]]


def make_bce(*, smoothing: float = 0.0) -> Loss:
    """Returns binary cross-entropy of each clip, computed from the logit.

    Args:
        smoothing: moves the targets 0 and 1 to `smoothing / 2` and `1 - smoothing / 2` (Szegedy et
            al. 2016, section 7, with two classes).

    Raises:
        UsageError: `smoothing` is outside [0, 1).
    """
    if not 0.0 <= smoothing < 1.0:
        raise UsageError(f"loss bce: smoothing must be in [0, 1), not {smoothing}")

    def bce(logits: Logits, batch: Batch) -> Float[Array, "B"]:
        target = _targets(batch) * (1.0 - smoothing) + 0.5 * smoothing
        return _cross_entropy(logits, target)

    return bce


def make_focal(*, gamma: float = 2.0, alpha: float | None = None) -> Loss:
    """Returns the focal loss of each clip: `alpha_t (1 - p_t)^gamma` times cross-entropy.

    Lin et al. 2017, "Focal Loss for Dense Object Detection", equation 5. With `gamma` 0 and no
    `alpha` it is binary cross-entropy.

    Args:
        gamma: how much clips that are already right are discounted.
        alpha: weight of the fakes, `1 - alpha` that of the reals; None: both 1.

    Raises:
        UsageError: `gamma` is negative or `alpha` outside [0, 1].
    """
    if gamma < 0.0:
        raise UsageError(f"loss focal: gamma must not be negative, but is {gamma}")
    if alpha is not None and not 0.0 <= alpha <= 1.0:
        raise UsageError(f"loss focal: alpha must be in [0, 1], not {alpha}")

    def focal(logits: Logits, batch: Batch) -> Float[Array, "B"]:
        target = _targets(batch)
        signed = (2.0 * target - 1.0) * logits.astype(jnp.float32)  # > 0 where the clip is right
        # (1 - p_t)^gamma as exp(gamma log(1 - p_t)): its gradient is finite where p_t rounds to 1.
        values = jnp.exp(gamma * jax.nn.log_sigmoid(-signed)) * _cross_entropy(logits, target)
        if alpha is None:
            return values
        return values * (alpha * target + (1.0 - alpha) * (1.0 - target))

    return focal


LOSSES: dict[str, Callable[..., Loss]] = {"bce": make_bce, "focal": make_focal}


def make_loss(name: str, **options: Any) -> Loss:
    """Returns the loss called `name`, an entry of `LOSSES`, built with `options`.

    Raises:
        UsageError: unknown name or option; the message lists the valid ones.
    """
    if name not in LOSSES:
        raise unknown("loss", name, LOSSES)
    valid = inspect.signature(LOSSES[name]).parameters
    for option in options:
        if option not in valid:
            raise unknown(f"option of loss {name}", option, valid)
    return LOSSES[name](**options)


def weighted_mean(values: Float[Array, "B"], weight: Float[Array, "B"]) -> Float[Array, ""]:
    """Returns the mean of `values` weighted by `weight`; 0 where all weights are 0.

    A clip of weight 0 is padding: its value does not matter, not even when it is not finite.
    """
    kept = jnp.where(weight > 0, values, 0.0)
    total = weight.sum()
    return jnp.where(total > 0, (kept * weight).sum() / jnp.where(total > 0, total, 1.0), 0.0)


def _targets(batch: Batch) -> Float[Array, "B"]:
    return batch["label"].astype(jnp.float32)


def _cross_entropy(logits: Logits, target: Float[Array, "B"]) -> Float[Array, "B"]:
    logits = logits.astype(jnp.float32)
    return jax.nn.softplus(logits) - target * logits
