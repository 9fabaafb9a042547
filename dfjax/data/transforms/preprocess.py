"""Preprocesses batches on the device, from uint8 crops to the inputs of a model.

Training, evaluation, prediction and export use the same pure function, so that a model always
receives inputs of the same kind.
"""

from collections.abc import Callable, Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from dfjax.errors import UsageError
from dfjax.ops.resize import resize
from dfjax.ops.views import VIEWS
from dfjax.rngs import make_rng
from dfjax.shapes import Batch, Inputs, Preprocess

Change = Callable[[Batch, Key[Array, ""]], Batch]
"""`change(batch, rng) -> batch`, where `clip` is f32 in [0, 1], and so is `region`, if present;
`flow`, if present, is f32."""


def make_preprocess(
    streams: Mapping[str, int],
    *,
    mean: Sequence[float],
    std: Sequence[float],
    views: Sequence[str] = (),
    self_blend: Change | None = None,
    mix: Change | None = None,
    augment: Change | None = None,
) -> Preprocess:
    """Returns `preprocess(batch, rng, *, train) -> {stream: f32[B,T,s,s,3], …, "mask": bool[B,T]}`.

    The first stream is the clip resized to its size. Further streams are downsampled from the first
    one, so that they have no detail that it lacks. Resizing is bilinear, with antialiasing when
    downsampling, on values in [0, 1] before normalisation. Padding frames become normalised black
    and are excluded by `mask`. If the batch has flow, the inputs include `flow f32[B,T-1,s,s,2]` in
    pixels of the first stream. The inputs of `views` are f32[B,T,s,s,c], computed from the first
    stream in pixel values from 0 to 255, and not normalised. If mixing changes the labels in
    training, they include the new ones as `target f32[B]`.

    Args:
        streams: Side of the square frames in pixels by name of the stream, in order.
        mean: Mean of each RGB channel, in [0, 1].
        std: Standard deviation of each RGB channel, in [0, 1].
        views: Names of functions of `ops.views.VIEWS` that the inputs include.
        self_blend: Function that makes fakes of real clips. In training it is applied first, to the
            crops as they are stored.
        mix: Function that mixes the clips of a batch, applied second in training.
        augment: Function that augments each clip, applied last in training.

    Raises:
        UsageError: There is no stream, a stream is larger than the first one, or `std` is not
            positive.
    """
    _check(streams, std)
    full = next(iter(streams.values()))
    offset, scale = np.asarray(mean, np.float32), np.asarray(std, np.float32)

    changes = {"self_blend": self_blend, "mix": mix, "augment": augment}

    def preprocess(batch: Batch, rng: Array | None, *, train: bool) -> Inputs:
        batch = {**batch, "clip": batch["clip"].astype(jnp.float32) / 255.0}
        if "flow" in batch:
            batch["flow"] = batch["flow"].astype(jnp.float32)
        batch |= _scale_region(batch)
        for name, change in changes.items():
            if train and change is not None:
                if rng is None:
                    raise ValueError("preprocess needs rng if train is True")
                # Augmentation uses `rng` itself, so that its draws equal those of earlier versions.
                key = rng if name == "augment" else make_rng(rng, name, 0)
                batch = change(batch, key)
        first = resize(batch["clip"], (full, full))
        inputs = {
            name: (resize(first, (size, size)) - offset) / scale for name, size in streams.items()
        }
        inputs |= {name: VIEWS[name].compute(255.0 * first) for name in views}
        return inputs | _resize_flow(batch, full) | _select_rest(batch)

    return preprocess


def make_pair_preprocess(preprocess: Preprocess, *, stride: int = 1) -> Preprocess:
    """Returns the preprocessing of a generator: `source` and `target` f32[B,T,s,s,3], and `mask`.

    Both clips of a pair have the same draws of the augmentation, since they are augmented as one
    clip of 2T frames. If the batch has flow, which is that of the target, the inputs include it and
    `flow_known` bool[B,T-1]: from a frame to one after a missing frame no flow is stored.

    Args:
        preprocess: Preprocessing with one stream, without self-blending and mixing.
        stride: Number of source frames that the flow spans.
    """

    def preprocess_pairs(batch: Batch, rng: Array | None, *, train: bool) -> Inputs:
        frames = batch["mask"].shape[1]
        both = {
            **batch,
            "clip": jnp.concatenate([batch["clip"], batch["source"]], axis=1),
            "mask": jnp.concatenate([batch["mask"], batch["mask"]], axis=1),
        }
        inputs = preprocess(both, rng, train=train)
        (clips,) = (value for key, value in inputs.items() if key not in ("mask", "flow"))
        pair = {"target": clips[:, :frames], "source": clips[:, frames:], "mask": batch["mask"]}
        if "flow" in inputs:
            pair["flow"] = inputs["flow"]
            pair["flow_known"] = jnp.diff(batch["position"], axis=1) == stride
        return pair

    return preprocess_pairs


def pass_features(batch: Batch, rng: Array | None, *, train: bool) -> Inputs:
    """Returns the inputs of a model that reads stored features, which are not changed.

    Args:
        batch: Batch with `features` and `mask`.
        rng: Not used.
        train: Not used.
    """
    del rng, train
    return {"features": batch["features"].astype(jnp.float32)} | _select_rest(batch)


def _scale_region(batch: Batch) -> dict[str, Array]:
    """Returns the region, if the batch has it, with values from 0 to 1."""
    return {"region": batch["region"].astype(jnp.float32) / 255.0} if "region" in batch else {}


def _resize_flow(batch: Batch, size: int) -> dict[str, Array]:
    """Returns the flow, if the batch has it, in pixels of the new size."""
    if "flow" not in batch:
        return {}
    flow = batch["flow"]
    return {"flow": resize(flow * (size / flow.shape[-2]), (size, size))}


def _select_rest(batch: Batch) -> dict[str, Array]:
    """Returns the inputs that are no streams; `target` exists only if clips are mixed."""
    rest = ("mask", "method", "target", "region", "region_known")
    return {key: batch[key] for key in rest if key in batch}


def _check(streams: Mapping[str, int], std: Sequence[float]) -> None:
    sizes = list(streams.values())
    if not sizes or min(sizes) < 1:
        raise UsageError("preprocess needs at least one stream of at least 1 pixel")
    if max(sizes) > sizes[0]:
        raise UsageError(
            f"stream sizes {dict(streams)}: streams are downsampled from the first one, so none "
            f"may be larger than its {sizes[0]} pixels"
        )
    if min(std) <= 0:
        raise UsageError(f"preprocess.std must be positive, not {tuple(std)}")
