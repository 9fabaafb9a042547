"""Measures clips of fakes, restored or not, against their real clips."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from dfjax.errors import UsageError
from dfjax.evaluation.metrics.restoration_metrics import match_histogram
from dfjax.inference.detector import Detector
from dfjax.inference.score_inputs import make_batch
from dfjax.ops.flow import find_consistent, warp_back
from dfjax.ops.image_quality import compute_psnr, compute_ssim

Clips = UInt8[np.ndarray, "N T H W 3"]
Values = Float[np.ndarray, "N"]


@jax.jit
def measure_quality(
    clips: UInt8[Array, "N T H W 3"],
    targets: UInt8[Array, "N T H W 3"],
    mask: Array,
    flow: Array,
) -> dict[str, Float[Array, "N"]]:
    """Returns `psnr`, `ssim` and `warp_error` of each clip, as means over its frames.

    `warp_error` is the mean absolute difference, in units of the range of values, between a frame
    and the next one warped back along the flow of the target, where that flow is consistent. Clips
    of one frame have none.

    Args:
        clips: Clips to measure.
        targets: Their real clips.
        mask: bool[N, T], False on padding.
        flow: f32[N, T - 1, H, W, 2], the flow of the targets.
    """
    seen, wanted = (x.astype(jnp.float32) / 255 for x in (clips, targets))
    valid = mask / mask.sum(1, keepdims=True)
    values = {
        "psnr": (compute_psnr(seen, wanted) * valid).sum(1),
        "ssim": (compute_ssim(seen, wanted) * valid).sum(1),
    }
    n, t = mask.shape
    if t == 1:
        return values
    pairs = flow.astype(jnp.float32).reshape(-1, *flow.shape[2:])
    following = warp_back(seen[:, 1:].reshape(-1, *seen.shape[2:]), pairs)
    error = jnp.abs(following - seen[:, :-1].reshape(-1, *seen.shape[2:])).mean(-1)
    counted = find_consistent(pairs) & (mask[:, 1:] & mask[:, :-1]).reshape(-1, 1, 1)
    sums = [x.reshape(n, -1).sum(1) for x in (error * counted, counted)]
    return values | {"warp_error": sums[0] / jnp.maximum(sums[1], 1)}


def match_clips(clips: Clips, targets: Clips) -> Clips:
    """Returns clips each of whose frames has the histogram of the target's frame."""
    matched = np.empty_like(clips)
    for place in np.ndindex(*clips.shape[:2]):
        matched[place] = match_histogram(clips[place], targets[place])
    return matched


def score_clips(detector: Detector, clips: Clips, mask: np.ndarray) -> Values:
    """Returns P(fake) of clips."""
    batch = make_batch(clips, mask, flow=detector.config.data.flow)
    ((_, scores),) = detector.score([batch], batch_size=len(clips))
    return np.asarray(scores["fake_prob"], np.float64)


def make_similarity(detector: Detector) -> Callable[[Clips, Clips, np.ndarray], Values]:
    """Returns `similarity(clips, targets, mask)`, the cosines between embeddings of clips.

    The embedding is the output `embedding` of the checkpoint's model, or else its `features`.

    Args:
        detector: Checkpoint of any model with such an output.
    """

    @jax.jit
    def embed(variables: Any, batch: Any) -> Float[Array, "N d"]:
        inputs = detector.preprocess(batch, None, train=False)
        _, outputs, _ = detector.apply(variables, inputs, train=False, rngs=None)
        found = outputs.get("embedding", outputs.get("features"))
        if found is None:
            raise UsageError(f"the model of {detector.workdir} has no embedding to compare by")
        flat = found.reshape(len(found), -1).astype(jnp.float32)
        return flat / jnp.maximum(jnp.linalg.norm(flat, axis=1, keepdims=True), 1e-12)

    def similarity(clips: Clips, targets: Clips, mask: np.ndarray) -> Values:
        flow = detector.config.data.flow
        first, second = (
            embed(detector.variables, make_batch(each, mask, flow=flow))
            for each in (clips, targets)
        )
        return np.asarray((first * second).sum(1), np.float64)

    return similarity
