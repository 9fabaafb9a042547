"""Supervised contrastive loss on the embeddings of clips."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfjax.errors import UsageError
from dfjax.shapes import Batch, Logits, Loss, Outputs

TINY = 1e-12  # smallest squared length that vectors are divided by
NEVER = -1e9  # logit of pairs that are left out; finite, so that a single clip has a gradient of 0


def make_supcon(*, temperature: float = 0.1) -> Loss:
    """Returns the supervised contrastive loss on normalised embeddings.

    The embeddings are `outputs["embedding"]` of a model with a projection head (its option
    `embedding`), otherwise `outputs["features"]`, the input of the classifier.

    See Khosla et al. (2020), "Supervised Contrastive Learning", equation 2 (the mean over positives
    is outside the logarithm). A clip is compared with all other clips of the batch on all devices
    (with `train.accumulate`, of its part of the batch), except clips of weight 0. The loss of a
    clip without another clip of its class is 0. The classifier has no gradient; it has to be
    trained in a second run that starts from these parameters.

    Args:
        temperature: Divisor of the cosine similarities.

    Raises:
        UsageError: `temperature` is not positive, or (raised by the loss) clips are mixed.
    """
    if not 0.0 < temperature < float("inf"):
        raise UsageError(f"loss.supcon.temperature must be positive, not {temperature}")

    def supcon(logits: Logits, outputs: Outputs, batch: Batch) -> Float[Array, "B"]:
        if "target" in batch:
            raise UsageError("loss.name=supcon needs unmixed clips: set mix.mixup=0 mix.cutmix=0")
        features = outputs.get("embedding", outputs["features"]).astype(jnp.float32)
        length = jnp.sum(jnp.square(features), axis=-1, keepdims=True)
        unit = features * jax.lax.rsqrt(jnp.maximum(length, TINY))
        cosines = jnp.matmul(unit, unit.T, precision="highest") / temperature  # [B, B]
        label, valid = batch["label"], batch["weight"] > 0
        others = valid[None, :] & ~jnp.eye(len(label), dtype=bool)
        positives = others & (label[:, None] == label[None, :])
        compared = jnp.where(others, cosines, NEVER)
        log_probs = cosines - jax.nn.logsumexp(compared, axis=1, keepdims=True)
        total = jnp.where(positives, log_probs, 0.0).sum(axis=1)
        count = positives.sum(axis=1)
        kept = valid & (count > 0)
        return jnp.where(kept, -total / jnp.maximum(count, 1), 0.0)

    return supcon
