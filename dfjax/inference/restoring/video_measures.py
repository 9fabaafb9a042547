"""Measures videos of fakes, restored or not, against their real videos."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from dfjax.data.store.crop_arrays import CropArrays
from dfjax.data.store.flow import compute_clip_flow
from dfjax.errors import UsageError
from dfjax.experiment import run_data
from dfjax.inference.detector import Detector
from dfjax.ops.flow import find_consistent, warp_back
from dfjax.ops.image_quality import compute_psnr, compute_ssim
from dfjax.shapes import HostBatch

Crops = UInt8[np.ndarray, "_ H W 3"]
Values = Float[np.ndarray, "V"]

PIECE = 16  # largest number of frames that are measured at a time
BATCH = 4  # pieces


def measure_quality(videos: Sequence[Crops], targets: Sequence[Crops]) -> dict[str, Values]:
    """Returns `psnr`, `ssim` and `warp_error` of each video, as means over its frames.

    `warp_error` is the mean absolute difference, in units of the range of values, between a frame
    and the next one warped back along the flow of the target, where that flow is consistent. It is
    NaN for a video without such a pixel, and absent where all videos have one frame.

    Args:
        videos: Crops of each video.
        targets: Crops of the same frames of its real video.
    """
    length = min(PIECE, max(map(len, videos)))
    # Neighbouring pieces share a frame, so that every pair of frames is in one of them.
    starts = [
        (video, start)
        for video, crops in enumerate(videos)
        for start in range(0, max(len(crops) - 1, 1) if length > 1 else 1, max(length - 1, 1))
    ]
    sums: dict[str, Values] = {}
    for first in range(0, len(starts), BATCH):
        batch = starts[first : first + BATCH]
        seen, wanted, mask, new = _fill(batch, videos, targets, length)
        flow = compute_clip_flow(wanted, mask)
        owners = [video for video, _ in batch]
        for name, values in _measure_pieces(seen, wanted, mask, new, flow).items():
            total = sums.setdefault(name, np.zeros(len(videos)))
            np.add.at(total, owners, np.asarray(values, np.float64)[: len(batch)])
    means = {name: sums[name] / sums["frames"] for name in ("psnr", "ssim")}
    if length > 1:
        counted = np.where(sums["pixels"] > 0, sums["pixels"], np.nan)
        means["warp_error"] = sums["warp_error"] / counted
    return means


def _fill(
    batch: Sequence[tuple[int, int]],
    videos: Sequence[Crops],
    targets: Sequence[Crops],
    length: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns pieces of videos and of their targets, and the masks of `_measure_pieces`."""
    seen = np.zeros((BATCH, length, *videos[0].shape[1:]), np.uint8)
    wanted = np.zeros_like(seen)
    mask, new = np.zeros((2, BATCH, length), bool)
    for place, (video, start) in enumerate(batch):
        crops = videos[video][start : start + length]
        seen[place, : len(crops)] = crops
        wanted[place, : len(crops)] = targets[video][start : start + length]
        mask[place, : len(crops)] = True
        new[place, min(start, 1) : len(crops)] = True
    return seen, wanted, mask, new


@jax.jit
def _measure_pieces(
    clips: UInt8[Array, "N T H W 3"],
    targets: UInt8[Array, "N T H W 3"],
    mask: Array,
    new: Array,
    flow: Array,
) -> dict[str, Float[Array, "N"]]:
    """Returns the sums of the measures of each piece, and the numbers of their summands.

    Args:
        clips: Pieces to measure.
        targets: The same pieces of the real videos.
        mask: bool[N, T], False on padding.
        new: bool[N, T], True on frames that are in no earlier piece.
        flow: f32[N, T - 1, H, W, 2], the flow of the targets.
    """
    seen, wanted = (x.astype(jnp.float32) / 255 for x in (clips, targets))
    sums = {
        "psnr": (compute_psnr(seen, wanted) * new).sum(1),
        "ssim": (compute_ssim(seen, wanted) * new).sum(1),
        "frames": new.sum(1),
    }
    n, t = mask.shape
    if t == 1:
        return sums
    pairs = flow.astype(jnp.float32).reshape(-1, *flow.shape[2:])
    following = warp_back(seen[:, 1:].reshape(-1, *seen.shape[2:]), pairs)
    error = jnp.abs(following - seen[:, :-1].reshape(-1, *seen.shape[2:])).mean(-1)
    counted = find_consistent(pairs) & (mask[:, 1:] & mask[:, :-1]).reshape(-1, 1, 1)
    error, pixels = (x.reshape(n, -1).sum(1) for x in (error * counted, counted))
    return sums | {"warp_error": error, "pixels": pixels}


def cut_clips(model: Detector, store: CropArrays) -> Iterator[HostBatch]:
    """Yields the clips of videos that a model is evaluated on, with their flow if it reads flow."""
    config = copy.deepcopy(model.config)
    config.data.flow = False  # that of a pack is of the crops that were packed
    for batch in run_data.eval_batches(store, config, np.arange(len(store))):
        if model.config.data.flow:
            batch = {**batch, "flow": compute_clip_flow(batch["clip"], batch["mask"])}
        yield batch


def score_videos(detector: Detector, store: CropArrays) -> Values:
    """Returns P(fake) of videos, the mean over their clips, as `dfjax evaluate` computes it."""
    scored = detector.score(cut_clips(detector, store))
    return _average(((batch, scores["fake_prob"]) for batch, scores in scored), number=len(store))


def make_similarity(model: Detector) -> Callable[[CropArrays, CropArrays], Values]:
    """Returns `similarity(store, targets)`, the mean cosine between embeddings of clips.

    The embedding is the output `embedding` of the checkpoint's model, or else its `features`.

    Args:
        model: Checkpoint of any model with such an output.
    """

    @jax.jit
    def embed(variables: Any, batch: Any) -> Float[Array, "N d"]:
        inputs = model.preprocess(batch, None, train=False)
        _, outputs, _ = model.apply(variables, inputs, train=False, rngs=None)
        found = outputs.get("embedding", outputs.get("features"))
        if found is None:
            raise UsageError(f"the model of {model.workdir} has no embedding to compare by")
        flat = found.reshape(len(found), -1).astype(jnp.float32)
        return flat / jnp.maximum(jnp.linalg.norm(flat, axis=1, keepdims=True), 1e-12)

    def compute(batch: HostBatch) -> np.ndarray:
        seen = {key: batch[key] for key in ("clip", "mask", "flow") if key in batch}
        return np.asarray(embed(model.variables, seen), np.float64)

    def similarity(store: CropArrays, targets: CropArrays) -> Values:
        batches = zip(cut_clips(model, store), cut_clips(model, targets))
        cosines = ((one, (compute(one) * compute(other)).sum(1)) for one, other in batches)
        return _average(cosines, number=len(store))

    return similarity


def _average(values: Iterable[tuple[HostBatch, np.ndarray]], *, number: int) -> Values:
    """Returns the mean of the values of the clips of each video."""
    total, clips = np.zeros((2, number))
    for batch, each in values:
        kept = np.asarray(batch["weight"]) > 0
        owners = np.asarray(batch["video_index"])[kept]
        np.add.at(total, owners, each[kept])
        np.add.at(clips, owners, 1)
    return total / clips
