"""The preview of a config: a picture of training clips before and after preprocessing."""

import dataclasses
import functools
import os
import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from dfjax import FAKE
from dfjax.data.clips.batching import SELF_BLENDED
from dfjax.data.clips.pipeline import make_train_batches
from dfjax.data.store.frame_store import FrameStore
from dfjax.data.transforms.augment_presets import choose_augmentation
from dfjax.errors import UsageError
from dfjax.evaluation.figures.preview_sheet import PreviewRow, PreviewSection, draw_preview
from dfjax.experiment import builders, run_data
from dfjax.experiment.config_check import check_config
from dfjax.experiment.preview_rows import (
    Clips,
    Targets,
    make_mix_rows,
    make_operation_row,
    make_self_blend_rows,
    make_tiles,
    middle_frames,
    to_bytes,
)
from dfjax.outputs import check_outputs
from dfjax.results import Result
from dfjax.rngs import make_rng
from dfjax.shapes import HostBatch

MOST_CLIPS = 12
DRAWS = 3  # rows of preprocessed clips
VIDEOS, PEOPLE = 16, 8  # size of the synthetic set, if the config has no data.path


@dataclasses.dataclass(frozen=True)
class Preview(Result):
    """A picture of training clips that was written.

    Attributes:
        out: PNG file.
        clips: Number of clips in a row.
        operations: Names of the operations of augmentation.
        one_of: Whether a clip gets one of them, not all.
    """

    out: Path
    clips: int
    operations: Any
    one_of: Any

    def describe(self) -> list[str]:
        """Returns a line that names the file."""
        return [f"wrote {self.out}"]


def preview(config: ConfigDict, out: str | os.PathLike[str], *, clips: int, title: str) -> Preview:
    """Writes a sheet of the first training batch before and after preprocessing.

    Without `data.path` a few synthetic videos are generated.

    Args:
        config: Config, which is not changed.
        out: PNG file to write.
        clips: Number of clips in a row, which must be even.
        title: First line of the sheet.

    Raises:
        UsageError: The number of clips or the config is invalid, or the model reads stored
            features, of which there are no pictures.
    """
    if clips % 2 or not 2 <= clips <= MOST_CLIPS:
        raise UsageError(f"the number of clips must be even, 2 to {MOST_CLIPS}, not {clips}")
    if "features" in builders.model_extras(config):
        raise UsageError(f"{config.name} reads stored features, of which there are no pictures")
    check_config(config)
    check_outputs([out])
    config = config.copy_and_resolve_references()
    config.train.batch_size, config.data.flow = clips, False
    if not config.data.path:
        frames, size = config.data.frames * config.data.stride, config.preprocess.size
        config.data.synthetic.update(
            {"videos": VIDEOS, "identities": PEOPLE, "frames": frames, "size": size}
        )
    with tempfile.TemporaryDirectory(prefix="dfjax-preview-") as folder:
        pack = run_data.open_data(config, Path(folder))
        sections = make_sections(config, pack, load_batch(config, pack))
    data, size = config.data.path or "synthetic faces", config.preprocess.size
    subtitle = f"{data}, crops of {pack.crop_size} px, model input {size} px"
    draw_preview(sections, out, title=title, subtitle=subtitle)
    augmentation = choose_augmentation(**config.augment)
    return Preview(Path(out), clips, augmentation.operations, augmentation.one_of)


def load_batch(config: ConfigDict, pack: FrameStore) -> HostBatch:
    """Returns the first batch of training, of `config.train.batch_size` clips.

    Raises:
        UsageError: The data lack what the config's sampling needs.
    """
    rows = run_data.split_rows(pack, config, "train")
    options, sampling = builders.make_epoch_options(config), builders.make_sampling(config)
    batches = make_train_batches(pack, rows, options, sampling=sampling, threads=0)
    with batches:
        return next(batches)


def make_sections(config: ConfigDict, pack: FrameStore, batch: HostBatch) -> list[PreviewSection]:
    """Returns the sections of the sheet, with mixing and self-blending if they are on.

    Args:
        config: Config of the training.
        pack: Data set of the clips.
        batch: Clips to show (`load_batch`).
    """
    draws = _preprocess(config, batch)
    sections = [PreviewSection("The first batch", _batch_rows(config, pack, batch, draws))]
    if config.data.frames > 1:
        sections.append(PreviewSection("One clip over time", _time_rows(batch, draws[0][0])))
    augmentation = choose_augmentation(**config.augment)
    if augmentation.operations:
        rows = [make_operation_row(name, augmentation, config, batch)
                for name in augmentation.operations]  # fmt: skip
        heading = f"Single operations of augmentation, preset {config.augment.preset}"
        sections.append(PreviewSection(heading, rows))
    made = [*make_self_blend_rows(config, batch), *make_mix_rows(config, batch)]
    if made:
        sections.append(PreviewSection("Clips made by blending or mixing", made))
    return sections


def _preprocess(config: ConfigDict, batch: HostBatch) -> list[tuple[Clips, Targets]]:
    """Returns the preprocessed clips of each step, without normalisation, and their labels."""
    preprocess = jax.jit(functools.partial(builders.make_config_preprocess(config), train=True))
    stream = next(iter(builders.stream_sizes(config)))
    p = config.preprocess
    draws = []
    for step in range(DRAWS):
        inputs = preprocess(batch, make_rng(jax.random.key(config.seed), "preprocess", step))
        clips = inputs[stream] * jnp.array(p.std) + jnp.array(p.mean)
        targets = np.asarray(inputs.get("target", batch["label"]), np.float32)
        draws.append((to_bytes(clips), targets))
    return draws


def _batch_rows(
    config: ConfigDict, pack: FrameStore, batch: HostBatch, draws: list[tuple[Clips, Targets]]
) -> list[PreviewRow]:
    labels = batch["label"].astype(np.float32)
    methods = pack.index["method"].iloc[batch["video_index"]].tolist()
    blended = batch.get("blend", np.zeros(len(methods), bool))
    methods = [SELF_BLENDED if b else m for m, b in zip(methods, blended)]
    names = [f"fake: {m}" if label == FAKE else "real" for m, label in zip(methods, labels)]
    tiles = make_tiles(middle_frames(batch["clip"], batch["mask"]), labels, names)
    rows = [PreviewRow("As recorded", _describe_clips(config), tiles)]
    for step, (clips, targets) in enumerate(draws):
        captions = [
            ("fake" if target == FAKE else "real") if target == label else f"target {target:.2f}"
            for target, label in zip(targets.tolist(), labels)
        ]
        tiles = make_tiles(middle_frames(clips, batch["mask"]), targets, captions)
        rows.append(PreviewRow("Preprocessed", f"in step {step}", tiles))
    return rows


def _describe_clips(config: ConfigDict) -> str:
    d = config.data
    sampling = f"stride {d.stride}" if d.sampling == "stride" else d.sampling
    return f"{d.frames} frames, {sampling}, the middle one shown" if d.frames > 1 else "frames"


def _time_rows(batch: HostBatch, clips: Clips) -> list[PreviewRow]:
    """Returns rows with the frames of the first clip, before and after preprocessing."""
    frames = np.flatnonzero(batch["mask"][0])[: len(clips)]
    captions = [f"frame {number}" for number in batch["position"][0, frames]]
    recorded = make_tiles(batch["clip"][0, frames], None, captions)
    trained = make_tiles(clips[0, frames], None, captions)
    return [
        PreviewRow("As recorded", "", recorded),
        PreviewRow("Preprocessed", "the same draw for all frames", trained),
    ]
