"""Temporal consistency: what a model says of a face should not flicker from frame to frame."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from dfjax.errors import UsageError
from dfjax.shapes import Batch, Logits, Outputs

PER_FRAME = ("frame_logits", "frame_features")
"""Outputs that have one value or vector per frame, the first that a model has is compared."""


def temporal_consistency(logits: Logits, outputs: Outputs, batch: Batch) -> Float[Array, "B"]:
    """Returns the mean squared change between neighbouring frames, of each clip.

    Of `outputs["frame_logits"]` f32[B,T], or of `frame_features` f32[B,T,D] averaged over D. Only
    pairs of valid frames that stand next to each other count; a clip without such a pair gives 0.

    Raises:
        UsageError: the model has nothing per frame.
    """
    name = next((name for name in PER_FRAME if name in outputs), "")
    if not name:
        raise UsageError(
            "loss.temporal needs a model that says something of each frame (a clip detector, or a "
            "frame classifier on clips); set loss.temporal=0.0"
        )
    mask = batch["mask"]
    frames = outputs[name].astype(jnp.float32).reshape(*mask.shape, -1)
    pairs = mask[:, 1:] & mask[:, :-1]
    # Chosen before squaring: whatever a padding frame holds must not reach a gradient.
    change = jnp.where(pairs[..., None], frames[:, 1:] - frames[:, :-1], 0.0)
    squared = jnp.mean(jnp.square(change), axis=-1)  # [B, T-1]
    return squared.sum(axis=1) / jnp.maximum(pairs.sum(axis=1), 1)
