"""Temporal consistency: penalises changes of logits or features between consecutive frames."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from dfjax.errors import UsageError
from dfjax.shapes import Batch, Logits, Outputs

PER_FRAME = ("frame_logits", "frame_features")
"""Outputs with a value or vector per frame; the first one that the model has is used."""


def temporal_consistency(logits: Logits, outputs: Outputs, batch: Batch) -> Float[Array, "B"]:
    """Returns the mean squared change between consecutive frames of each clip.

    The change is that of `outputs["frame_logits"]` f32[B,T], or that of `frame_features`
    f32[B,T,D] averaged over D. Only pairs of consecutive valid frames count; the value of a clip
    without such a pair is 0.

    Raises:
        UsageError: The model has no output per frame.
    """
    name = next((name for name in PER_FRAME if name in outputs), "")
    if not name:
        raise UsageError(
            "loss.temporal needs a model with outputs per frame, frame_logits or frame_features; "
            "set loss.temporal=0"
        )
    mask = batch["mask"]
    frames = outputs[name].astype(jnp.float32).reshape(*mask.shape, -1)
    pairs = mask[:, 1:] & mask[:, :-1]
    # Masked before squaring, so that the content of padding frames does not reach a gradient.
    change = jnp.where(pairs[..., None], frames[:, 1:] - frames[:, :-1], 0.0)
    squared = jnp.mean(jnp.square(change), axis=-1)  # [B, T-1]
    return squared.sum(axis=1) / jnp.maximum(pairs.sum(axis=1), 1)
