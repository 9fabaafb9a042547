"""Computes features of face crops with a frozen backbone and stores them in shards."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dfjax import processes
from dfjax.console import say, track
from dfjax.data.clips.prefetch import read_ahead
from dfjax.data.faces.crop_files import CropFiles
from dfjax.data.faces.recipe import read_crop_recipe
from dfjax.data.index.error_log import read_errors
from dfjax.data.store import feature_writer
from dfjax.data.store.feature_pack import FeaturePack, open_features
from dfjax.data.store.feature_writer import VideoFeatures
from dfjax.data.store.pack import add_recipe
from dfjax.data.store.pack_reader import Pack
from dfjax.errors import InputError, UsageError, unknown
from dfjax.experiment.frozen_backbone import FrozenBackbone, save_backbone
from dfjax.files import lock_folder
from dfjax.models.frame_features import STREAM
from dfjax.results import Result
from dfjax.shapes import HostBatch

DTYPES = ("float16", "float32")


@dataclasses.dataclass(frozen=True)
class Extracted(Result):
    """The result of `extract_features`.

    Attributes:
        pack: Stored features.
        errors: Entries of `errors.jsonl`: videos and frames that were left out, with the reasons.
        reused: Whether the features had been computed by an earlier call.
        parameters: Origin of the parameters of the backbone.
    """

    pack: FeaturePack
    errors: list[dict[str, str]]
    reused: bool
    parameters: str

    @property
    def frames(self) -> int:
        """Number of frames that have features."""
        return int(self.pack.index["frame_indices"].map(len).sum())

    def describe(self) -> list[str]:
        """Returns a line that counts videos, frames and features, and names the parameters."""
        return [
            f"{'reused' if self.reused else 'computed'} {self.pack.path}: {len(self.pack)} videos, "
            f"{self.frames} frames, {self.pack.width} numbers each, {self.parameters}"
        ]

    def list_errors(self) -> list[str]:
        """Returns a line that counts the videos and frames that were left out."""
        n, log = len(self.errors), self.pack.path / "errors.jsonl"
        return [f"{n} videos or frames left out, see {log}"] if n else []

    def to_json(self) -> dict[str, Any]:
        """Returns the counts as `dfjax data features --json` prints them."""
        counts = {"out": str(self.pack.path), "videos": len(self.pack), "frames": self.frames}
        return counts | {
            "features": self.pack.width,
            "errors": len(self.errors),
            "reused": self.reused,
            "parameters": self.parameters,
        }


class Piece(NamedTuple):
    """Consecutive frames `start` to `stop - 1` of the video in row `row`, at most a batch."""

    row: int
    start: int
    stop: int


def extract_features(
    crops: Pack | CropFiles,
    backbone: FrozenBackbone,
    out: Path,
    *,
    source: Path,
    batch_size: int = 64,
    dtype: str = "float16",
    threads: int | None = None,
    fresh: bool = False,
    command: str = "dfjax data features",
) -> Extracted:
    """Writes the features of all crops to a folder; repeating an interrupted call resumes it.

    Videos that cannot be read, or whose features are not finite, are left out and listed.

    Args:
        crops: Face crops to read.
        backbone: Backbone that computes the features.
        out: Folder for the features.
        source: Pack or index that holds the crops; the record of the features names it.
        batch_size: Number of frames per batch.
        dtype: Data type of the stored features, `float16` or `float32`.
        threads: Number of threads that decode; None for the number of cores.
        fresh: Whether features of other crops or another backbone in `out` are replaced.
        command: Command line, for the metadata of the index.

    Raises:
        UsageError: An argument is invalid, `out` holds something else, or no video has features.
        OSError: The disk is full; finished shards are kept.
    """
    threads = os.cpu_count() or 1 if threads is None else threads
    _check(batch_size, threads, dtype)
    parameters = backbone.record["parameters"]
    if parameters.startswith("random"):
        say(f"warning: {parameters}: the backbone is not trained; give weights or a workdir")
    source_path = os.path.relpath(source.resolve(), out.resolve())
    record = backbone.record | {"dtype": dtype, "source": source_path}
    plan = _compute_plan_hash(crops, record)
    with processes.held_by_first(lock_folder(out)):
        with processes.first_alone():
            if feature_writer.is_finished(out, plan, fresh=fresh):
                if processes.is_first():
                    add_recipe(out, read_crop_recipe(source))
                return Extracted(open_features(out), read_errors(out), True, parameters)
            folder = feature_writer.open_partial(out, plan)
        if processes.is_first():
            save_backbone(backbone, folder)
        rows = _extract_rows(crops, backbone, folder, batch_size, dtype, threads)
        for _ in track(rows, total=len(crops) // processes.count(), what="videos"):
            pass
        processes.wait_for_all()
        with processes.first_alone():
            if processes.is_first():
                feature_writer.finish(
                    folder, out, crops.index, record, recipe=read_crop_recipe(source),
                    manifest={"source_sha256": plan, "crop_size": crops.crop_size},
                    left_out=crops.errors if isinstance(crops, CropFiles) else (), command=command,
                )  # fmt: skip
    return Extracted(open_features(out), read_errors(out), False, parameters)


def _check(batch_size: int, threads: int, dtype: str) -> None:
    for name, value in (("batch_size", batch_size), ("threads", threads)):
        if value < 1:
            raise UsageError(f"{name} must be positive, not {value}")
    if dtype not in DTYPES:
        raise unknown("dtype of features", dtype, DTYPES)


def _compute_plan_hash(crops: Pack | CropFiles, record: dict[str, Any]) -> str:
    """Returns a hash of the crops and of everything that their features depend on."""
    digest = hashlib.sha256(crops.index.to_json(orient="records").encode())
    digest.update(json.dumps(record, sort_keys=True).encode())
    return digest.hexdigest()


def _extract_rows(
    crops: Pack | CropFiles,
    backbone: FrozenBackbone,
    folder: Path,
    batch_size: int,
    dtype: str,
    threads: int,
) -> Iterator[int]:
    """Writes the missing shards and yields the number of each row that is finished.

    Several processes take turns with the shards.
    """
    step = _make_step(backbone)
    width = int(backbone.record["features"])
    shards = list(enumerate(feature_writer.plan_shards(crops.index)))
    for number, rows in shards[processes.index() :: processes.count()]:
        if not feature_writer.is_shard_finished(folder, number):
            videos = []
            for video in _compute(crops, rows, step, batch_size, threads):
                videos.append(video)
                yield video.row
            feature_writer.write_shard(folder, number, videos, dtype=dtype, width=width)
        else:
            yield from rows


def _make_step(backbone: FrozenBackbone) -> Any:
    """Returns the jitted `step(u8[n,S,S,3]) -> f32[n,D]`, with the preprocessing of training."""

    @jax.jit
    def step(variables: Any, crops: jax.Array) -> jax.Array:
        batch = {"clip": crops[:, None], "mask": jnp.ones((len(crops), 1), bool)}
        images = backbone.preprocess(batch, None, train=False)[STREAM][:, 0]
        return backbone.fns.apply(variables, images)

    return lambda crops: step(backbone.variables, crops)


def _compute(
    crops: Pack | CropFiles, rows: range, step: Any, batch_size: int, threads: int
) -> Iterator[VideoFeatures]:
    """Yields the features of each video, in order."""
    plan = [
        Piece(row, start, min(start + batch_size, len(crops.frame_numbers(row))))
        for row in rows
        for start in range(0, len(crops.frame_numbers(row)), batch_size)
    ]
    load = _Loader(crops)
    with read_ahead(plan, load, workers=0, threads=threads, prefetch=4) as loaded:
        found = _run(plan, loaded, step, batch_size)
        waiting: list[np.ndarray] = []
        error = ""
        for piece, features in found:
            if isinstance(features, str):
                error = error or features
            else:
                waiting.append(features)
            if piece.stop == len(crops.frame_numbers(piece.row)):
                whole = None if error else np.concatenate(waiting)
                yield VideoFeatures(piece.row, whole, error)
                waiting, error = [], ""


class _Loader:
    """Reads the crops of a piece, or returns the reason why they cannot be read."""

    def __init__(self, crops: Pack | CropFiles) -> None:
        self._crops = crops

    def __call__(self, piece: Piece) -> HostBatch:
        numbers = self._crops.frame_numbers(piece.row)[piece.start : piece.stop]
        try:
            return {"crops": self._crops.read(piece.row, numbers)}
        except (InputError, UsageError) as error:
            return {"error": np.array(str(error))}


def _run(
    plan: list[Piece], loaded: Iterator[HostBatch], step: Any, batch_size: int
) -> Iterator[tuple[Piece, np.ndarray | str]]:
    """Yields every piece with its features or the reason why it has none.

    A batch holds the frames of several pieces and is padded to `batch_size`.
    """
    pending: list[tuple[Piece, np.ndarray | str]] = []

    def flush() -> Iterator[tuple[Piece, np.ndarray | str]]:
        frames = [crops for _, crops in pending if not isinstance(crops, str)]
        if frames:
            batch = np.concatenate(frames)
            missing = batch_size - len(batch)
            batch = np.concatenate([batch, np.zeros((missing, *batch.shape[1:]), np.uint8)])
            features, first = np.asarray(step(batch)), 0
        for piece, crops in pending:
            if isinstance(crops, str):
                yield piece, crops
            else:
                yield piece, features[first : first + len(crops)]
                first += len(crops)
        pending.clear()

    count = 0
    for piece, batch in zip(plan, loaded):
        crops = str(batch["error"]) if "error" in batch else batch["crops"]
        size = 0 if isinstance(crops, str) else len(crops)
        if count + size > batch_size:
            yield from flush()
            count = 0
        pending.append((piece, crops))
        count += size
    yield from flush()
