"""Computes why a clip has its score: heat maps, deciding frames, and whether they matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int32, UInt8

from dfjax.errors import UsageError
from dfjax.experiment import builders
from dfjax.inference.detector import Detector
from dfjax.inference.score_inputs import make_batch
from dfjax.models.saliency import find_layers, make_saliency
from dfjax.shapes import Apply

SHARES = np.linspace(0, 1, 11)
"""Shares of the pixels that are deleted or inserted."""

TOGETHER = "all streams"
"""Name of the map of all streams together."""

Clip = UInt8[np.ndarray, "T H W 3"]
Heat = Float[np.ndarray, "T H W"]


@dataclass(frozen=True)
class ClipExplanation:
    """Why a clip has its score.

    Attributes:
        frames: Frames of the clip.
        mask: False on padding.
        position: Source frame numbers.
        fake_prob: Score of the clip.
        heat: Evidence for fake in each pixel by stream, from 0 to 1 (the largest of the clip).
        combined: Evidence of all streams, from 0 to 1. A cell of each map counts by what it adds to
            the logit, so that a stream on which the score does not rest hardly shows.
        effects: How much the logit falls when a frame is left out; of a single frame its logit.
        attention: Weights of the frames by the model, where it has them.
        stream_weights: Weights of the streams by the model, where it has them.
        curves: P(fake) where `SHARES` of the pixels are deleted or inserted (`compute_curves`).
        region: True where the clip is manipulated; None where this is not known.
    """

    frames: Clip
    mask: Bool[np.ndarray, "T"]
    position: Int32[np.ndarray, "T"]
    fake_prob: float
    heat: Mapping[str, Heat]
    combined: Heat
    effects: Float[np.ndarray, "T"]
    attention: Float[np.ndarray, "T"] | None
    stream_weights: dict[str, float]
    curves: Mapping[str, Float[np.ndarray, "S"]]
    region: Bool[np.ndarray, "T H W"] | None = None

    @property
    def maps(self) -> dict[str, Heat]:
        """The maps of the streams, and `all streams` where there are several."""
        together = {TOGETHER: self.combined} if len(self.heat) > 1 else {}
        return {**together, **self.heat}


class Explainer:
    """Explains clips of one size with a detector; programs are compiled once.

    Args:
        detector: Detector.

    Raises:
        UsageError: The detector has no feature maps of frames, or does not read frames.
    """

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self._size = detector.config.data.frames
        self._variables = jax.device_get(detector.variables)
        self._steps: dict[str, Any] = {}

    def explain(
        self,
        clip: Clip,
        mask: Bool[np.ndarray, "T"],
        position: Int32[np.ndarray, "T"],
        region: Bool[np.ndarray, "T H W"] | None = None,
    ) -> ClipExplanation:
        """Returns the explanation of a clip.

        Args:
            clip: Frames.
            mask: False on padding.
            position: Source frame numbers.
            region: True where the clip is manipulated; None if it is not known.
        """
        found = {name: step(self._variables, self._batch(clip, mask)) for name, step in
                 self._make_steps(clip, mask).items()}  # fmt: skip
        evidence = {
            name: _enlarge(np.asarray(one.maps[0]) * mask[:, None, None], clip.shape[1:3])
            for name, one in found.items()
        }
        first = next(iter(found.values()))
        outputs = {name: np.asarray(value) for name, value in first.outputs.items()}
        combined = _normalise(np.sum(list(evidence.values()), axis=0))
        attention = outputs.get("frame_attention")
        return ClipExplanation(
            frames=clip,
            mask=mask,
            position=position,
            fake_prob=float(jax.nn.sigmoid(first.logits[0])),
            heat={name: _normalise(one) for name, one in evidence.items()},
            combined=combined,
            effects=self._measure_frames(clip, mask, float(first.logits[0])),
            attention=None if attention is None else attention[0],
            stream_weights=_name_weights(outputs.get("stream_weights"), evidence),
            curves=self.compute_curves(clip, mask, combined),
            region=region,
        )

    def compute_curves(
        self, clip: Clip, mask: Bool[np.ndarray, "T"], heat: Heat
    ) -> dict[str, Float[np.ndarray, "S"]]:
        """Returns P(fake) where the hottest pixels are blurred, or where only they are sharp.

        Where a map shows what the score rests on, `deletion` falls earlier, and `insertion` rises
        earlier, than with random maps (`random_deletion`, `random_insertion`), for a fake.

        Args:
            clip: Frames.
            mask: False on padding.
            heat: Heat of each pixel.
        """
        rng = np.random.default_rng(0)
        cells = rng.random((len(clip), 8, 8)).astype(np.float32)
        maps = {"": heat, "random_": _enlarge(cells, clip.shape[1:3])}
        side = clip.shape[1] / 8
        blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), side) for frame in clip])
        names, clips = [], []
        for prefix, one in maps.items():
            order = np.argsort(np.argsort(-one.reshape(len(clip), -1), axis=1), axis=1)
            rank = order.reshape(one.shape)[..., None] / order.shape[1]
            for name, inside, outside in (
                ("deletion", blurred, clip),
                ("insertion", clip, blurred),
            ):
                names.append(f"{prefix}{name}")
                clips += [np.where(rank < share, inside, outside) for share in SHARES]
        probs = self._score(np.stack(clips), np.repeat(mask[None], len(clips), 0))
        return dict(zip(names, probs.reshape(len(names), len(SHARES))))

    def _measure_frames(
        self, clip: Clip, mask: Bool[np.ndarray, "T"], logit: float
    ) -> Float[np.ndarray, "T"]:
        used = np.flatnonzero(mask)
        effects = np.zeros(len(clip))
        if len(used) == 1:
            effects[used] = logit
            return effects
        masks = np.repeat(mask[None], len(used), 0)
        masks[np.arange(len(used)), used] = False
        probs = self._score(np.repeat(clip[None], len(used), 0), masks, logits=True)
        effects[used] = logit - probs
        return effects

    def _score(self, clips: np.ndarray, masks: np.ndarray, *, logits: bool = False) -> np.ndarray:
        batch = self.detector.config.eval.batch_size
        flow = self.detector.config.data.flow
        pieces = (
            make_batch(clips[i : i + batch], masks[i : i + batch], flow=flow)
            for i in range(0, len(clips), batch)
        )
        scored = self.detector.score(pieces, batch_size=batch)
        return np.concatenate([scores["logit" if logits else "fake_prob"] for _, scores in scored])

    def _batch(self, clip: Clip, mask: np.ndarray) -> dict[str, jax.Array]:
        batch = make_batch(clip[None], mask[None], flow=self.detector.config.data.flow)
        return {name: jnp.asarray(values) for name, values in batch.items()}

    def _make_steps(self, clip: Clip, mask: np.ndarray) -> dict[str, Any]:
        """Returns the compiled function of each stream."""
        if not self._steps:
            apply, preprocess = _find_apply(self.detector), self.detector.preprocess
            shapes = jax.eval_shape(
                lambda b: preprocess(b, None, train=False), self._batch(clip, mask)
            )
            for name, layer in find_layers(apply, self._variables, shapes).items():
                compute = make_saliency(apply, layer)

                def step(variables: Any, batch: Any, compute: Any = compute) -> Any:
                    return compute(variables, preprocess(batch, None, train=False))

                self._steps[name] = jax.jit(step)
        return self._steps


PLAIN = {"remat": "none", "scan_blocks": False}
"""Options of models with which maps can be taken out; they change no parameters or results."""


def _find_apply(detector: Detector) -> Apply:
    """Returns the forward pass with `PLAIN`: no recomputation, and no scan over blocks."""
    config = detector.config
    options = config.model.get(config.model.name, {})
    changed = {key: value for key, value in PLAIN.items() if options.get(key, value) != value}
    if not changed:
        return detector.apply
    if detector.features:
        raise UsageError(
            f"a detector on stored features with {' or '.join(changed)} cannot be explained"
        )
    config = config.copy_and_resolve_references()
    config.model[config.model.name].update(changed)
    return builders.make_model(config).apply


def _enlarge(maps: Float[np.ndarray, "T h w"], size: tuple[int, int]) -> Heat:
    """Returns maps in the size of the frames; the sum of a map stays about the same."""
    large = [
        np.maximum(cv2.resize(one, size[::-1], interpolation=cv2.INTER_CUBIC), 0) for one in maps
    ]
    cells, pixels = maps.shape[1] * maps.shape[2], size[0] * size[1]
    return np.stack(large).astype(np.float64) * cells / pixels


def _normalise(maps: Heat) -> Heat:
    """Returns maps with a largest value of 1; maps of zeros stay so."""
    return maps / max(float(np.max(maps)), 1e-30)


def _name_weights(weights: np.ndarray | None, heat: Mapping[str, Any]) -> dict[str, float]:
    """Returns the weights of the streams by name; empty where they are of something else."""
    if weights is None or weights.shape[-1] != len(heat):
        return {}
    return dict(zip(heat, map(float, weights[0])))


def measure_grounding(clips: Sequence[ClipExplanation]) -> dict[str, Any] | None:
    """Returns the share of the heat in the manipulated region, beside the region's share of area.

    Both are of the frames in which something is manipulated, and means over clips. `ratio` is the
    share of the heat divided by that of the area: 1 for a map that knows nothing of the region.

    Args:
        clips: Explanations of clips; those without a region are left out.

    Returns:
        `area`, and by the name of each map `share` and `ratio`; None if no clip has a region.
    """
    rows: dict[str, list[float]] = {}
    areas = []
    for clip in clips:
        if clip.region is None:
            continue
        shown = clip.region.any((1, 2)) & clip.mask
        maps = {name: heat[shown] for name, heat in clip.maps.items()}
        if not shown.any() or not all(heat.sum() > 0 for heat in maps.values()):
            continue
        areas.append(float(clip.region[shown].mean()))
        for name, heat in maps.items():
            rows.setdefault(name, []).append(float(heat[clip.region[shown]].sum() / heat.sum()))
    if not areas:
        return None
    ratios = {name: np.mean(np.divide(shares, areas)) for name, shares in rows.items()}
    return {
        "area": float(np.mean(areas)),
        "clips": len(areas),
        "maps": {
            name: {"share": float(np.mean(shares)), "ratio": float(ratios[name])}
            for name, shares in rows.items()
        },
    }
