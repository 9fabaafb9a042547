"""Real-or-fake losses of a clip: `loss(logits, outputs, batch) -> f32[B]`, never reduced.

Weights, masks and the mean are applied once, in the step, so that a padded clip cannot count in one
place and be forgotten in another. Targets may be soft (mixed clips): `batch["target"]` where there
is one, else `batch["label"]`.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfjax.errors import UsageError
from dfjax.shapes import Batch, Logits, Loss, Outputs

NO_ALPHA = -1.0
"""`alpha` of a focal loss that weighs both classes alike, as in torchvision."""


def make_bce(*, smoothing: float = 0.0) -> Loss:
    """Returns binary cross-entropy of each clip, computed from the logit.

    Args:
        smoothing: moves the targets 0 and 1 to `smoothing / 2` and `1 - smoothing / 2` (Szegedy et
            al. 2016, section 7, with two classes).

    Raises:
        UsageError: `smoothing` is outside [0, 1).
    """
    check_smoothing("bce", smoothing)

    def bce(logits: Logits, outputs: Outputs, batch: Batch) -> Float[Array, "B"]:
        target = smooth(targets(batch), smoothing)
        fake, real = _surprise(logits)
        return target * fake + (1.0 - target) * real

    return bce


def make_cross_entropy(*, smoothing: float = 0.0) -> Loss:
    """Returns the two-class cross-entropy of each clip, from `outputs["class_logits"]`.

    Its value is that of `make_bce` at the logit z1 - z0; its gradient reaches both logits.

    Args:
        smoothing: as in `make_bce`.

    Raises:
        UsageError: `smoothing` is outside [0, 1), or, when called, the model has one logit only.
    """
    check_smoothing("cross_entropy", smoothing)

    def cross_entropy(logits: Logits, outputs: Outputs, batch: Batch) -> Float[Array, "B"]:
        if "class_logits" not in outputs:
            raise UsageError(
                "loss.name=cross_entropy needs a head of two classes; this model has one logit: "
                "choose loss.name=bce"
            )
        target = smooth(targets(batch), smoothing)
        log_probs = jax.nn.log_softmax(outputs["class_logits"].astype(jnp.float32))
        return -(1.0 - target) * log_probs[:, 0] - target * log_probs[:, 1]

    return cross_entropy


def make_focal(*, gamma: float = 2.0, alpha: float = NO_ALPHA, smoothing: float = 0.0) -> Loss:
    """Returns the focal loss of each clip: `alpha_t (1 - p_t)^gamma` times cross-entropy.

    Lin et al. 2017, "Focal Loss for Dense Object Detection", equation 5; a soft target is a mixture
    of the two classes' losses. With `gamma` 0 and `alpha` -1 it is binary cross-entropy.

    Args:
        gamma: Exponent that discounts clips which are already right; 0 or larger.
        alpha: Weight of the fakes, `1 - alpha` that of the reals; -1: both 1.
        smoothing: Amount of label smoothing, as in `make_bce`.

    Raises:
        UsageError: `gamma` is negative, `alpha` outside [0, 1] or `smoothing` outside [0, 1).
    """
    check_smoothing("focal", smoothing)
    if not 0.0 <= gamma < float("inf"):
        raise UsageError(f"loss.focal.gamma must not be negative, but is {gamma}")
    if alpha != NO_ALPHA and not 0.0 <= alpha <= 1.0:
        raise UsageError(f"loss.focal.alpha must be in [0, 1], or -1 for none, not {alpha}")
    share_fake, share_real = (1.0, 1.0) if alpha == NO_ALPHA else (alpha, 1.0 - alpha)

    def focal(logits: Logits, outputs: Outputs, batch: Batch) -> Float[Array, "B"]:
        target = smooth(targets(batch), smoothing)
        fake, real = _surprise(logits)
        # (1 - p)^gamma as exp(gamma log(1 - p)): its gradient is finite where p rounds to 1.
        fake, real = fake * jnp.exp(-gamma * real), real * jnp.exp(-gamma * fake)
        return share_fake * target * fake + share_real * (1.0 - target) * real

    return focal


def targets(batch: Batch) -> Float[Array, "B"]:
    """Returns how fake each clip is said to be, in [0, 1]: its target if it has one, or label."""
    return batch.get("target", batch["label"]).astype(jnp.float32)


def smooth(target: Float[Array, "B"], smoothing: float) -> Float[Array, "B"]:
    """Returns `target` moved towards one half: 0 and 1 become `s / 2` and `1 - s / 2`."""
    return target * (1.0 - smoothing) + 0.5 * smoothing


def check_smoothing(name: str, smoothing: float) -> None:
    """Checks the amount of label smoothing of the loss `name`.

    Raises:
        UsageError: It is outside [0, 1).
    """
    if not 0.0 <= smoothing < 1.0:
        raise UsageError(f"loss.{name}.smoothing must be in [0, 1), not {smoothing}")


def _surprise(logits: Logits) -> tuple[Float[Array, "B"], Float[Array, "B"]]:
    """Minus the log-probability of fake and of real."""
    logits = logits.astype(jnp.float32)
    return jax.nn.softplus(-logits), jax.nn.softplus(logits)
