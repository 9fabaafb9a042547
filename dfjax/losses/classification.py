"""Binary classification losses: `loss(logits, outputs, batch) -> f32[B]`, one value per clip.

Losses do not apply weights or the mean; the training step does so, once for all losses. Targets may
be soft (mixed clips): they are `batch["target"]` if it exists, otherwise `batch["label"]`.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfjax.errors import UsageError
from dfjax.shapes import Batch, Logits, Loss, Outputs

NO_ALPHA = -1.0
"""Value of `alpha` for a focal loss without class weights, as in torchvision."""


def make_bce(*, smoothing: float = 0.0) -> Loss:
    """Returns the binary cross-entropy, computed from the logit.

    Args:
        smoothing: Amount of label smoothing (Szegedy et al., 2016, section 7, with two classes):
            the targets 0 and 1 become `smoothing / 2` and `1 - smoothing / 2`.

    Raises:
        UsageError: `smoothing` is outside [0, 1).
    """
    check_smoothing("bce", smoothing)

    def bce(logits: Logits, outputs: Outputs, batch: Batch) -> Float[Array, "B"]:
        target = smooth(targets(batch), smoothing)
        fake, real = _class_losses(logits)
        return target * fake + (1.0 - target) * real

    return bce


def make_cross_entropy(*, smoothing: float = 0.0) -> Loss:
    """Returns the two-class cross-entropy, computed from `outputs["class_logits"]`.

    Its value equals that of `make_bce` at the logit z1 - z0, but both logits have a gradient.

    Args:
        smoothing: Amount of label smoothing, as in `make_bce`.

    Raises:
        UsageError: `smoothing` is outside [0, 1), or (raised by the loss) the model has no
            two-class head.
    """
    check_smoothing("cross_entropy", smoothing)

    def cross_entropy(logits: Logits, outputs: Outputs, batch: Batch) -> Float[Array, "B"]:
        if "class_logits" not in outputs:
            raise UsageError(
                "loss.name=cross_entropy needs a two-class head, and this model has one logit: "
                "choose loss.name=bce"
            )
        target = smooth(targets(batch), smoothing)
        log_probs = jax.nn.log_softmax(outputs["class_logits"].astype(jnp.float32))
        return -(1.0 - target) * log_probs[:, 0] - target * log_probs[:, 1]

    return cross_entropy


def make_focal(*, gamma: float = 2.0, alpha: float = NO_ALPHA, smoothing: float = 0.0) -> Loss:
    """Returns the focal loss, `alpha_t (1 - p_t)^gamma` times the cross-entropy.

    See Lin et al. (2017), "Focal Loss for Dense Object Detection", equation 5. The loss of a soft
    target is the weighted sum of the losses of the two classes. With `gamma` 0 and `alpha` -1 the
    loss is binary cross-entropy.

    Args:
        gamma: Exponent that reduces the loss of clips which are classified well, at least 0.
        alpha: Weight of fakes; the weight of reals is `1 - alpha`. -1 means that both are 1.
        smoothing: Amount of label smoothing, as in `make_bce`.

    Raises:
        UsageError: `gamma` is negative, `alpha` is outside [0, 1] or `smoothing` outside [0, 1).
    """
    check_smoothing("focal", smoothing)
    if not 0.0 <= gamma < float("inf"):
        raise UsageError(f"loss.focal.gamma must not be negative, not {gamma}")
    if alpha != NO_ALPHA and not 0.0 <= alpha <= 1.0:
        raise UsageError(f"loss.focal.alpha must be in [0, 1], or -1 for none, not {alpha}")
    share_fake, share_real = (1.0, 1.0) if alpha == NO_ALPHA else (alpha, 1.0 - alpha)

    def focal(logits: Logits, outputs: Outputs, batch: Batch) -> Float[Array, "B"]:
        target = smooth(targets(batch), smoothing)
        fake, real = _class_losses(logits)
        # (1 - p)^gamma as exp(gamma log(1 - p)): its gradient is finite where p rounds to 1.
        fake, real = fake * jnp.exp(-gamma * real), real * jnp.exp(-gamma * fake)
        return share_fake * target * fake + share_real * (1.0 - target) * real

    return focal


def targets(batch: Batch) -> Float[Array, "B"]:
    """Returns the target probability of fake of each clip: `target` if it exists, else `label`."""
    return batch.get("target", batch["label"]).astype(jnp.float32)


def smooth(target: Float[Array, "B"], smoothing: float) -> Float[Array, "B"]:
    """Returns smoothed targets: 0 and 1 become `smoothing / 2` and `1 - smoothing / 2`."""
    return target * (1.0 - smoothing) + 0.5 * smoothing


def check_smoothing(name: str, smoothing: float) -> None:
    """Checks the amount of label smoothing of the loss `name`.

    Raises:
        UsageError: It is outside [0, 1).
    """
    if not 0.0 <= smoothing < 1.0:
        raise UsageError(f"loss.{name}.smoothing must be in [0, 1), not {smoothing}")


def _class_losses(logits: Logits) -> tuple[Float[Array, "B"], Float[Array, "B"]]:
    """Returns the negative log-probabilities of fake and of real."""
    logits = logits.astype(jnp.float32)
    return jax.nn.softplus(-logits), jax.nn.softplus(logits)
