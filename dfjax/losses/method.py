"""The loss of a method head, which classifies the manipulation of a fake."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dfjax.errors import UsageError
from dfjax.shapes import Batch, Logits, Loss, Outputs


def make_method_loss(methods: int) -> Loss:
    """Returns the cross-entropy of `outputs["method_logits"]` f32[B,K] against `batch["method"]`.

    The loss of clips whose method is unknown (-1) is 0.

    Args:
        methods: Number K of classes, including `real`.

    Raises:
        UsageError: The model has no method head with K classes (raised by the loss).
    """

    def method_loss(logits: Logits, outputs: Outputs, batch: Batch) -> Float[Array, "B"]:
        head = outputs["method_logits"].shape[1] if "method_logits" in outputs else 0
        if head != methods:
            raise UsageError(
                f"loss.method needs a model with a method head of {methods} classes, real and the "
                f"{methods - 1} methods of training; this model has {head or 'no such head'}. "
                f"frame_classifier has one with method_classes={methods}"
            )
        method = batch["method"].astype(jnp.int32)
        log_probs = jax.nn.log_softmax(outputs["method_logits"].astype(jnp.float32))
        chosen = jnp.take_along_axis(log_probs, jnp.maximum(method, 0)[:, None], axis=1)[:, 0]
        return jnp.where(method < 0, 0.0, -chosen)

    return method_loss
