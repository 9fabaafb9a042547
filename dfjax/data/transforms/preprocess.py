"""What happens to a batch on device before the model sees it: one pure function for every use.

The host sends uint8 crops; training, evaluation, prediction and export share what is built here,
so a model cannot be fed differently in two places.
"""

from collections.abc import Callable, Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from dfjax.errors import UsageError
from dfjax.ops.resize import resize
from dfjax.rngs import make_rng
from dfjax.shapes import Batch, Inputs

Preprocess = Callable[..., Inputs]
"""`preprocess(batch, rng, *, train) -> inputs`; `rng` may be None when `train` is False."""
Change = Callable[[Batch, Key[Array, ""]], Batch]
"""`change(batch, rng) -> batch`: `clip` is f32 in [0, 1] and `flow`, where there is one, f32."""


def make_preprocess(
    streams: Mapping[str, int],
    *,
    mean: Sequence[float],
    std: Sequence[float],
    self_blend: Change | None = None,
    mix: Change | None = None,
    augment: Change | None = None,
) -> Preprocess:
    """Returns `preprocess(batch, rng, *, train) -> {stream: f32[B,T,s,s,3], …, "mask": bool[B,T]}`.

    The first stream is the clip resized to its size; every further one is down-sampled from the
    first, as in a dual-stream detector whose second stream sees the same picture at less detail.
    Resizing is bilinear, antialiased when shrinking, on values in [0, 1] before normalisation.
    Padding frames come out as normalised black: they are to be left out by the mask. A batch with
    flow gives `flow f32[B,T-1,s,s,2]` too, in pixels of the first stream. In training, what a
    change decides anew about the labels comes out as `target f32[B]`.

    Args:
        streams: square size in pixels by name; the order matters.
        mean: per RGB channel, of values in [0, 1].
        std: per RGB channel, of values in [0, 1].
        self_blend: in training, first, on crops as they were recorded: makes fakes of real clips.
        mix: in training, then: mixes clips of the batch.
        augment: in training, at last: changes every clip for itself.

    Raises:
        UsageError: no stream, a stream larger than the first, or a `std` that is not positive.
    """
    _check(streams, std)
    full = next(iter(streams.values()))
    offset, scale = np.asarray(mean, np.float32), np.asarray(std, np.float32)

    changes = {"self_blend": self_blend, "mix": mix, "augment": augment}

    def preprocess(batch: Batch, rng: Array | None, *, train: bool) -> Inputs:
        batch = {**batch, "clip": batch["clip"].astype(jnp.float32) / 255.0}
        if "flow" in batch:
            batch["flow"] = batch["flow"].astype(jnp.float32)
        for name, change in changes.items():
            if train and change is not None:
                if rng is None:
                    raise ValueError("preprocess needs an rng in training")
                # Augmentation was here first: runs without the others draw as they always did.
                key = rng if name == "augment" else make_rng(rng, name, 0)
                batch = change(batch, key)
        first = resize(batch["clip"], (full, full))
        inputs = {
            name: (resize(first, (size, size)) - offset) / scale for name, size in streams.items()
        }
        if "flow" in batch:  # in pixels of the crop, so it shrinks with the crop
            flow = batch["flow"]
            inputs["flow"] = resize(flow * (full / flow.shape[-2]), (full, full))
        return inputs | _facts(batch)

    return preprocess


def pass_features(batch: Batch, rng: Array | None, *, train: bool) -> Inputs:
    """Returns the inputs of a model that reads stored features: they are what the pack holds."""
    del rng, train
    return {"features": batch["features"].astype(jnp.float32)} | _facts(batch)


def _facts(batch: Batch) -> dict[str, Array]:
    """What is known apart from pixels; `target` is there where clips mix."""
    known = ("mask", "method", "target")
    return {key: batch[key] for key in known if key in batch}


def _check(streams: Mapping[str, int], std: Sequence[float]) -> None:
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
