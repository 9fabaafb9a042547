"""Rows of a preview: single operations of augmentation, self-blended fakes and mixtures."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8
from ml_collections import ConfigDict

from dfjax import REAL
from dfjax.data.transforms.augment import apply_draws
from dfjax.data.transforms.augment_operations import (
    BOX,
    OPERATIONS,
    Values,
    describe_range,
    spread_values,
)
from dfjax.data.transforms.augment_presets import Augmentation
from dfjax.data.transforms.mixing import make_mix
from dfjax.data.transforms.self_blend import self_blend
from dfjax.evaluation.figures.preview_sheet import PreviewRow, PreviewTile
from dfjax.rngs import make_rng
from dfjax.shapes import HostBatch

AMPLIFIED = 4  # factor of differences, which are small
TITLES = {"mixup": "Mixup", "cutmix": "CutMix"}

Pictures = UInt8[np.ndarray, "N H W 3"]
Clips = UInt8[np.ndarray, "N T H W 3"]
Targets = Float[np.ndarray, "N"]


def to_bytes(values: Float[Array, "..."]) -> UInt8[np.ndarray, "..."]:
    """Returns values in [0, 1] as bytes; values outside are clipped."""
    return np.asarray(jnp.clip(jnp.round(255 * values), 0, 255), np.uint8)


def middle_frames(clips: Clips, mask: Bool[np.ndarray, "N T"]) -> Pictures:
    """Returns the middle one of the frames of each clip that `mask` marks as real frames."""
    places = [int(np.flatnonzero(frames)[frames.sum() // 2]) for frames in mask]
    return np.stack([clip[place] for clip, place in zip(clips, places)])


def make_tiles(
    pictures: Pictures, targets: Targets | None, captions: Sequence[str]
) -> list[PreviewTile]:
    """Returns pictures with captions and, unless `targets` is None, with labels."""
    edges = [None] * len(captions) if targets is None else targets.tolist()
    return [PreviewTile(*tile) for tile in zip(pictures, captions, edges)]


def make_operation_row(
    name: str, augmentation: Augmentation, config: ConfigDict, batch: HostBatch
) -> PreviewRow:
    """Returns a row with the first picture of a batch, changed by one operation of augmentation.

    The parameters of the operation are spread evenly over their range.

    Args:
        name: Name of the operation.
        augmentation: Augmentation with the range of the operation.
        config: Config of the training.
        batch: Clips on the host.
    """
    values = augmentation.operations[name]
    examples = spread_values(name, values, len(batch["clip"]) if OPERATIONS[name].values else 2)
    picture = jnp.asarray(middle_frames(batch["clip"], batch["mask"])[:1], jnp.float32) / 255.0
    clips = jnp.repeat(picture[:, None], len(examples), axis=0)  # [N, 1, H, W, 3]
    still = {"clip": clips, "mask": jnp.ones((len(examples), 1), bool)}
    keys = jax.random.split(jax.random.key(config.seed), len(examples))
    taps = int(values[3]) if name == "blur" else 1
    change = functools.partial(apply_draws, fill=config.preprocess.mean, taps=taps)
    changed = jax.jit(change)(still, {name: jnp.array(examples, jnp.float32)}, keys)
    captions = [_caption(name, example) for example in examples]
    tiles = make_tiles(to_bytes(changed["clip"][:, 0]), None, captions)
    title, detail = OPERATIONS[name].title, describe_range(name, values)
    group = augmentation.one_of
    if group and any(name in names for names in group.alternatives):
        detail += f", one of {len(group.alternatives)} with p {group.probability:g} in total"
    return PreviewRow(title[0].upper() + title[1:], detail, tiles)


def _caption(name: str, example: Values) -> str:
    if name == "flip":
        return "mirrored" if example[0] else "unchanged"
    if OPERATIONS[name].values == BOX:
        return f"{example[0]:.0%}, ratio {example[1]:.2f}"
    return f"{example[0]:.3g}"


def make_self_blend_rows(config: ConfigDict, batch: HostBatch) -> list[PreviewRow]:
    """Returns rows of real clips, of their self-blended fakes and of the differences.

    A difference is that between a fake and the same view of the clip without blending. There are no
    rows if self-blending is off.
    """
    if not config.data.self_blend:
        return []
    real = np.flatnonzero((batch["label"] == REAL) | batch["blend"])
    _, first = np.unique(batch["video_index"][real], return_index=True)  # one clip of each pair
    chosen = {name: value[real[first]] for name, value in _floating(batch).items()}
    marks = jnp.ones(len(first), bool)
    rng = make_rng(jax.random.key(config.seed), "preprocess", 0)
    run = jax.jit(self_blend)
    blended = run({**chosen, "blend": marks}, rng)["clip"]
    pasted = jnp.abs(blended - run({**chosen, "blend": ~marks}, rng)["clip"])
    mask, count = chosen["mask"], len(marks)
    captions = [["real"] * count, ["fake"] * count, [""] * count]
    return [
        _make_row("Real clip", "", chosen["clip"], mask, np.zeros(count), captions[0]),
        _make_row("Self-blended", "two views of it", blended, mask, np.ones(count), captions[1]),
        _make_row("Difference", f"times {AMPLIFIED}", AMPLIFIED * pasted, mask, None, captions[2]),
    ]


def make_mix_rows(config: ConfigDict, batch: HostBatch) -> list[PreviewRow]:
    """Returns rows of the batch with every clip mixed, by mixup and CutMix if they are on."""
    rows = []
    for kind, title in TITLES.items():
        strengths = {"mixup": 0.0, "cutmix": 0.0} | {kind: config.mix[kind]}
        mix = make_mix(**strengths, probability=1.0, segment=config.mix.segment)
        if mix is not None:
            rng = make_rng(jax.random.key(config.seed), "preprocess", 0)
            mixed = jax.jit(mix)(_floating(batch), rng)
            targets = np.asarray(mixed["target"])
            captions = [f"target {target:.2f}" for target in targets]
            detail = f"Beta({config.mix[kind]:g}), p {config.mix.probability:g}"
            rows.append(_make_row(title, detail, mixed["clip"], batch["mask"], targets, captions))
    return rows


def _floating(batch: HostBatch) -> Mapping[str, Any]:
    return {**batch, "clip": jnp.asarray(batch["clip"], jnp.float32) / 255.0}


def _make_row(
    title: str,
    detail: str,
    clips: Float[Array, "N T H W 3"],
    mask: Bool[np.ndarray, "N T"],
    targets: Targets | None,
    captions: Sequence[str],
) -> PreviewRow:
    pictures = middle_frames(to_bytes(clips), np.asarray(mask))
    return PreviewRow(title, detail, make_tiles(pictures, targets, captions))
