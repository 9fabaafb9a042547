"""What happens to a batch on device before the model sees it: one pure function for every use.

The host sends uint8 crops; training, evaluation, prediction and export share what is built here,
so a model cannot be fed differently in two places.
"""

from collections.abc import Callable, Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from dfjax.data.augment import draw_per_clip, flip_clips, flip_flow
from dfjax.errors import UsageError
from dfjax.ops.resize import resize
from dfjax.shapes import Batch, Inputs

Preprocess = Callable[..., Inputs]
"""`preprocess(batch, rng, *, train) -> inputs`; `rng` may be None when `train` is False."""


def make_preprocess(
    streams: Mapping[str, int],
    *,
    mean: Sequence[float],
    std: Sequence[float],
    flip: float,
) -> Preprocess:
    """Returns `preprocess(batch, rng, *, train) -> {stream: f32[B,T,s,s,3], …, "mask": bool[B,T]}`.

    The first stream is the clip resized to its size; every further one is down-sampled from the
    first, as in a dual-stream detector whose second stream sees the same picture at less detail.
    Resizing is bilinear, antialiased when shrinking, on values in [0, 1] before normalisation.
    Padding frames come out as normalised black: they are to be left out by the mask. A batch with
    flow gives `flow f32[B,T-1,s,s,2]` too, in pixels of the first stream, flipped with its clip;
    one with `position` keeps it.

    Args:
        streams: square size in pixels by name; the order matters.
        mean: per RGB channel, of values in [0, 1].
        std: per RGB channel, of values in [0, 1].
        flip: probability of a horizontal flip in training, one draw for all frames of a clip.

    Raises:
        UsageError: no stream, a stream larger than the first, a `std` that is not positive, or a
            probability outside [0, 1].
    """
    _check(streams, std, flip)
    full = next(iter(streams.values()))
    offset, scale = np.asarray(mean, np.float32), np.asarray(std, np.float32)

    def preprocess(batch: Batch, rng: Array | None, *, train: bool) -> Inputs:
        clip, flow = batch["clip"], batch.get("flow")
        if train and flip > 0:
            if rng is None:
                raise ValueError("preprocess needs an rng in training")
            flipped = draw_per_clip(rng, flip, clip.shape[0])
            clip = flip_clips(clip, flipped)
            flow = None if flow is None else flip_flow(flow, flipped)
        image = clip.astype(jnp.float32) / 255.0
        first = resize(image, (full, full))
        inputs = {
            name: (resize(first, (size, size)) - offset) / scale for name, size in streams.items()
        }
        if flow is not None:  # in pixels of the crop, so it shrinks with the crop
            flow = flow.astype(jnp.float32) * (full / flow.shape[-2])
            inputs["flow"] = resize(flow, (full, full))
        return inputs | _frame_facts(batch)

    return preprocess


def pass_features(batch: Batch, rng: Array | None, *, train: bool) -> Inputs:
    """Returns the inputs of a model that reads stored features: they are what the pack holds."""
    del rng, train
    return {"features": batch["features"].astype(jnp.float32)} | _frame_facts(batch)


def _frame_facts(batch: Batch) -> dict[str, Array]:
    """What is known of the frames apart from their pixels; prediction has no positions."""
    return {key: batch[key] for key in ("mask", "position") if key in batch}


def _check(streams: Mapping[str, int], std: Sequence[float], flip: float) -> None:
    sizes = list(streams.values())
    if not sizes or min(sizes) < 1:
        raise UsageError("preprocess needs at least one stream of at least 1 pixel")
    if max(sizes) > sizes[0]:
        raise UsageError(
            f"stream sizes {dict(streams)}: further streams are down-sampled from the first, so "
            f"none may be larger than its {sizes[0]} pixels"
        )
    if min(std) <= 0:
        raise UsageError(f"preprocess.std must be positive, not {tuple(std)}")
    if not 0 <= flip <= 1:
        raise UsageError(f"preprocess.flip is a probability, {flip} is not in [0, 1]")
