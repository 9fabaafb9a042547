"""What `dfjax data preview` shows: batches as training would see them, each operation alone."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from ml_collections import ConfigDict

from dfjax import FAKE, REAL
from dfjax.data.clips.batching import SELF_BLENDED
from dfjax.data.clips.pipeline import make_train_batches
from dfjax.data.store.frame_store import FrameStore
from dfjax.data.transforms.augment import apply_draws
from dfjax.data.transforms.augment_operations import (
    OPERATIONS,
    Values,
    describe_range,
    spread_values,
)
from dfjax.data.transforms.augment_presets import choose_augmentation
from dfjax.data.transforms.mixing import make_mix
from dfjax.data.transforms.self_blend import self_blend
from dfjax.evaluation.preview_sheet import PreviewRow, PreviewSection, PreviewTile
from dfjax.experiment import builders, run_data
from dfjax.rngs import make_rng
from dfjax.shapes import HostBatch

DRAWS = 3  # rows of augmented clips
LOUDER = 4  # a blended face differs little
TITLES = {"mixup": "Mixup", "cutmix": "CutMix"}

Pictures = UInt8[np.ndarray, "N H W 3"]
Clips = UInt8[np.ndarray, "N T H W 3"]
Targets = Float[np.ndarray, "N"]


def load_batch(config: ConfigDict, pack: FrameStore) -> HostBatch:
    """Returns the first batch of training, of `config.train.batch_size` clips.

    Raises:
        UsageError: the data lack what the config's sampling needs.
    """
    rows = run_data.split_rows(pack, config, "train")
    recipe, sampling = builders.make_recipe(config), builders.make_sampling(config)
    batches = make_train_batches(pack, rows, recipe, sampling=sampling, threads=0)
    with batches:
        return next(batches)


def make_sections(config: ConfigDict, pack: FrameStore, batch: HostBatch) -> list[PreviewSection]:
    """Returns the sections of the sheet; those of mixing and self-blending where they are on.

    Args:
        config: of the training.
        pack: names the clips.
        batch: the clips to show (`load_batch`).
    """
    seen = [_see(config, batch, step) for step in range(DRAWS)]
    sections = [PreviewSection("The first batch", _training_rows(config, pack, batch, seen))]
    if config.data.frames > 1:
        sections.append(PreviewSection("One clip over time", _time_rows(batch, seen[0][0])))
    operations = choose_augmentation(**config.augment).operations
    if operations:
        rows = [_operation_row(name, values, config, batch) for name, values in operations.items()]
        heading = f"Each operation of augmentation alone, preset {config.augment.preset}"
        sections.append(PreviewSection(heading, rows))
    made = [*_self_blend_rows(config, batch), *_mix_rows(config, batch)]
    if made:
        sections.append(PreviewSection("Fakes and mixtures made on the way", made))
    return sections


def _see(config: ConfigDict, batch: HostBatch, step: int) -> tuple[Clips, Targets]:
    """The clips and labels that the model would be trained on at `step`, normalisation undone."""
    preprocess = jax.jit(functools.partial(builders.make_config_preprocess(config), train=True))
    inputs = preprocess(batch, make_rng(jax.random.key(config.seed), "preprocess", step))
    stream = next(iter(builders.stream_sizes(config)))
    p = config.preprocess
    clips = inputs[stream] * jnp.array(p.std) + jnp.array(p.mean)
    return _to_bytes(clips), np.asarray(inputs.get("target", batch["label"]), np.float32)


def _to_bytes(values: Float[Array, "..."]) -> UInt8[np.ndarray, "..."]:
    return np.asarray(jnp.clip(jnp.round(255 * values), 0, 255), np.uint8)


def _middle(clips: Clips, batch: HostBatch) -> Pictures:
    """The frame in the middle of each clip, of those that it has."""
    places = [int(np.flatnonzero(mask)[mask.sum() // 2]) for mask in batch["mask"]]
    return np.stack([clip[place] for clip, place in zip(clips, places)])


def _training_rows(
    config: ConfigDict, pack: FrameStore, batch: HostBatch, seen: list[tuple[Clips, Targets]]
) -> list[PreviewRow]:
    methods = pack.index["method"].iloc[batch["video_index"]].tolist()
    blend = batch.get("blend", np.zeros(len(methods), bool))
    labels = batch["label"].astype(np.float32)
    methods = [SELF_BLENDED if b else m for m, b in zip(methods, blend)]
    names = [f"fake: {m}" if label == FAKE else "real" for m, label in zip(methods, labels)]
    tiles = _tiles(_middle(batch["clip"], batch), labels, names)
    rows = [PreviewRow("As recorded", _describe_clips(config), tiles)]
    for number, (clips, targets) in enumerate(seen):
        mixed = targets != labels
        captions = [f"target {t:.2f}" if m else _say(t) for t, m in zip(targets.tolist(), mixed)]
        tiles = _tiles(_middle(clips, batch), targets, captions)
        rows.append(PreviewRow("As trained on", f"in step {number}", tiles))
    return rows


def _describe_clips(config: ConfigDict) -> str:
    d = config.data
    how = f"stride {d.stride}" if d.sampling == "stride" else d.sampling
    return f"{d.frames} frames, {how}, the middle one shown" if d.frames > 1 else "single frames"


def _say(target: float) -> str:
    return "fake" if target == FAKE else "real"


def _tiles(
    pictures: Pictures, targets: Targets | None, captions: Sequence[str]
) -> list[PreviewTile]:
    edges = [None] * len(captions) if targets is None else targets.tolist()
    return [PreviewTile(*tile) for tile in zip(pictures, captions, edges)]


def _time_rows(batch: HostBatch, clips: Clips) -> list[PreviewRow]:
    frames = np.flatnonzero(batch["mask"][0])[: len(clips)]
    captions = [f"frame {number}" for number in batch["position"][0, frames]]
    return [
        PreviewRow("As recorded", "", _tiles(batch["clip"][0, frames], None, captions)),
        PreviewRow(
            "As trained on", "one draw for all frames", _tiles(clips[0, frames], None, captions)
        ),
    ]


def _operation_row(name: str, values: Values, config: ConfigDict, batch: HostBatch) -> PreviewRow:
    """The same picture through the range of one operation."""
    count = len(batch["clip"])
    examples = spread_values(name, values, count if OPERATIONS[name].values else 2)
    picture = jnp.asarray(_middle(batch["clip"], batch)[:1], jnp.float32) / 255.0
    clips = jnp.repeat(picture[:, None], len(examples), axis=0)  # [N, 1, H, W, 3]
    still = {"clip": clips, "mask": jnp.ones((len(examples), 1), bool)}
    keys = jax.random.split(jax.random.key(config.seed), len(examples))
    taps = int(values[3]) if name == "blur" else 1
    change = functools.partial(apply_draws, fill=config.preprocess.mean, taps=taps)
    changed = jax.jit(change)(still, {name: jnp.array(examples, jnp.float32)}, keys)
    captions = [_caption(name, example) for example in examples]
    tiles = _tiles(_to_bytes(changed["clip"][:, 0]), None, captions)
    title = OPERATIONS[name].title
    return PreviewRow(title[0].upper() + title[1:], describe_range(name, values), tiles)


def _caption(name: str, example: Values) -> str:
    if name == "flip":
        return "mirrored" if example[0] else "as it is"
    if len(example) == 4:
        return f"{example[0]:.0%}, ratio {example[1]:.2f}"
    return f"{example[0]:.3g}"


def _floating(batch: HostBatch) -> dict[str, Any]:
    return {**batch, "clip": jnp.asarray(batch["clip"], jnp.float32) / 255.0}


def _self_blend_rows(config: ConfigDict, batch: HostBatch) -> list[PreviewRow]:
    """Real clips, the fakes made of them, and where they differ from the same view unblended."""
    if not config.data.self_blend:
        return []
    real = np.flatnonzero((batch["label"] == REAL) | batch["blend"])
    _, first = np.unique(batch["video_index"][real], return_index=True)  # a pair is one video
    chosen = {name: value[real[first]] for name, value in _floating(batch).items()}
    marks = jnp.ones(len(first), bool)
    rng = make_rng(jax.random.key(config.seed), "preprocess", 0)
    run = jax.jit(self_blend)
    blended = run({**chosen, "blend": marks}, rng)["clip"]
    pasted = jnp.abs(blended - run({**chosen, "blend": ~marks}, rng)["clip"])
    count = len(marks)
    return [
        _row("Real clip", "", chosen["clip"], np.zeros(count), ["real"] * count, chosen),
        _row("Self-blended", "two views of it", blended, np.ones(count), ["fake"] * count, chosen),
        _row("What was pasted", f"times {LOUDER}", LOUDER * pasted, None, [""] * count, chosen),
    ]


def _row(
    title: str,
    detail: str,
    clips: Array,
    targets: Targets | None,
    captions: list[str],
    batch: Mapping[str, Any],
) -> PreviewRow:
    masks = {"mask": np.asarray(batch["mask"])}
    return PreviewRow(title, detail, _tiles(_middle(_to_bytes(clips), masks), targets, captions))


def _mix_rows(config: ConfigDict, batch: HostBatch) -> list[PreviewRow]:
    rows = []
    for kind in ("mixup", "cutmix"):
        alone = {"mixup": 0.0, "cutmix": 0.0} | {kind: config.mix[kind]}
        mix = make_mix(**alone, probability=1.0, segment=config.mix.segment)
        if mix is not None:
            rng = make_rng(jax.random.key(config.seed), "preprocess", 0)
            mixed = jax.jit(mix)(_floating(batch), rng)
            targets = np.asarray(mixed["target"])
            captions = [f"target {target:.2f}" for target in targets]
            detail = f"Beta({config.mix[kind]:g}), p {config.mix.probability:g}"
            rows.append(_row(TITLES[kind], detail, mixed["clip"], targets, captions, batch))
    return rows
