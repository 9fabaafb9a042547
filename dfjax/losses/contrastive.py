"""Supervised contrastive loss: clips of one class attract each other, the others repel."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfjax.errors import UsageError
from dfjax.shapes import Batch, Logits, Loss, Outputs

TINY = 1e-12  # squared length of a vector that has no direction
NEVER = -1e9  # for what is not compared; finite, so that a lone clip has a gradient, of 0


def make_supcon(*, temperature: float = 0.1) -> Loss:
    """Returns the supervised contrastive loss of each clip, on normalised embeddings.

    These are `outputs["embedding"]` of a model with a projection head (its option `embedding`), or
    else `outputs["features"]`, what the classifier reads.

    Khosla et al. 2020, "Supervised Contrastive Learning", equation 2 (the mean over the positives
    outside the logarithm). A clip is compared with every other clip of the whole batch, over all
    devices (with `train.accumulate`, of its own part of it); clips of weight 0 are compared with
    nothing. A clip alone in its class gives 0. The classifier gets no gradient: it is trained
    afterwards, from the features learnt here.

    Args:
        temperature: divides the cosines.

    Raises:
        UsageError: `temperature` is not positive, or, when called, targets are mixed.
    """
    if not 0.0 < temperature < float("inf"):
        raise UsageError(f"loss.supcon.temperature must be positive, not {temperature}")

    def supcon(logits: Logits, outputs: Outputs, batch: Batch) -> Float[Array, "B"]:
        if "target" in batch:
            raise UsageError("loss.name=supcon needs clips of one class: turn mixing of clips off")
        features = outputs.get("embedding", outputs["features"]).astype(jnp.float32)
        length = jnp.sum(jnp.square(features), axis=-1, keepdims=True)
        unit = features * jax.lax.rsqrt(jnp.maximum(length, TINY))
        cosines = jnp.matmul(unit, unit.T, precision="highest") / temperature  # [B, B]
        label, valid = batch["label"], batch["weight"] > 0
        others = valid[None, :] & ~jnp.eye(len(label), dtype=bool)
        positives = others & (label[:, None] == label[None, :])
        compared = jnp.where(others, cosines, NEVER)
        log_probs = cosines - jax.nn.logsumexp(compared, axis=1, keepdims=True)
        attracted = jnp.where(positives, log_probs, 0.0).sum(axis=1)
        count = positives.sum(axis=1)
        kept = valid & (count > 0)
        return jnp.where(kept, -attracted / jnp.maximum(count, 1), 0.0)

    return supcon
