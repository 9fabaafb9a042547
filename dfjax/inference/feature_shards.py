"""Computes the shards of stored features, each of which is independent of the others."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dfjax.data.beam_pipeline import Beam, Stage, in_worker, run_on_beam
from dfjax.data.clips.prefetch import read_ahead
from dfjax.data.faces.crop_files import CropFiles
from dfjax.data.index.records import read_index, write_index
from dfjax.data.store import feature_writer
from dfjax.data.store.feature_pack import PARAMETERS
from dfjax.data.store.feature_writer import NOTE, NOTES, VideoFeatures, note_path
from dfjax.data.store.pack_reader import Pack, open_pack
from dfjax.errors import InputError, RunError, UsageError
from dfjax.experiment.frozen_backbone import FrozenBackbone, restore
from dfjax.json_files import read_json
from dfjax.models.frame_features import STREAM
from dfjax.shapes import HostBatch
from dfjax.weights.safetensors_file import load_safetensors

CROPS, JOB = "crops.parquet", "job.json"  # in the folder of notes: what workers of Beam read


class ShardJob(NamedTuple):
    """How shards are computed.

    Attributes:
        folder: Folder of the unfinished feature pack (`feature_writer.open_partial`).
        batch_size: Number of frames per batch.
        dtype: Data type of the stored features.
        threads: Number of threads that decode.
        plan: Hash of the crops and the backbone.
    """

    folder: str
    batch_size: int
    dtype: str
    threads: int
    plan: str


class Opened(NamedTuple):
    """The crops and the backbone of a job, with the function that applies it (`make_step`)."""

    crops: Pack | CropFiles
    backbone: FrozenBackbone
    step: Any


class Piece(NamedTuple):
    """Consecutive frames `start` to `stop - 1` of the video in row `row`, at most a batch."""

    row: int
    start: int
    stop: int


def compute_shard(job: ShardJob, opened: Opened, number: int, rows: range) -> Iterator[int]:
    """Computes and writes a shard, and yields the number of each row that is computed.

    Args:
        job: How shards are computed.
        opened: Crops and backbone of the job.
        number: Number of the shard.
        rows: Rows of the shard.
    """
    videos = []
    width = int(opened.backbone.record["features"])
    for video in _compute(opened.crops, rows, opened.step, job):
        videos.append(video)
        yield video.row
    feature_writer.write_shard(Path(job.folder), number, videos, dtype=job.dtype, width=width)


def compute_on_beam(beam: Beam, job: ShardJob, opened: Opened) -> None:
    """Computes the missing shards on Beam, whose workers open the crops and the backbone by path.

    Args:
        beam: Where the pipeline runs.
        job: How shards are computed.
        opened: Crops, and the backbone, whose parameters are in the folder of the job.

    Raises:
        RunError: A shard could not be computed.
    """
    beam.clear()
    crops, backbone = opened.crops, opened.backbone
    notes = Path(job.folder) / NOTES
    write_index(crops.index, notes / CROPS, command="dfjax data features")
    is_pack = isinstance(crops, Pack)
    described = {"crops": str(crops.path.absolute()), "is_pack": is_pack, "size": crops.crop_size}
    (notes / JOB).write_text(json.dumps({**described, "record": backbone.record}), encoding="utf-8")
    shards = range(len(feature_writer.plan_shards(crops.index)))
    todo = [n for n in shards if not feature_writer.is_shard_finished(Path(job.folder), n)]
    stage = Stage("features", in_worker(functools.partial(_compute_by_path, job)), _list_errors)
    for outcome in run_on_beam(beam, [stage], todo, [f"shard {n}" for n in todo], chunk=1):
        if outcome.error:
            raise RunError(f"shard {todo[outcome.position]} has no features: {outcome.error}")


def _compute_by_path(job: ShardJob, number: int) -> dict[str, Any]:
    """Computes a shard in a worker of Beam, and returns which videos have no features, and why."""
    opened = _open(job)
    rows = feature_writer.plan_shards(opened.crops.index)[number]
    for _ in compute_shard(job, opened, number, rows):
        pass
    note = read_json(note_path(Path(job.folder), number), NOTE)
    ids = opened.crops.index["video_id"]
    return {"errors": [(ids.iloc[int(row)], error) for row, error in note["errors"].items()]}


def _list_errors(name: str, value: dict[str, Any]) -> list[tuple[str, str]]:
    del name
    return [(video_id, error) for video_id, error in value["errors"]]


@functools.lru_cache(maxsize=1)
def _open(job: ShardJob) -> Opened:
    folder = Path(job.folder)
    described = read_json(folder / NOTES / JOB, {"crops": str, "record": {str: object}})
    path, record = Path(described["crops"]), described["record"]
    variables, _ = load_safetensors(folder / PARAMETERS)
    backbone = restore(record, variables, source=str(folder / PARAMETERS))
    if described["is_pack"]:
        return Opened(open_pack(path), backbone, make_step(backbone))
    index = read_index(folder / NOTES / CROPS)
    crops = CropFiles(path, index, described["size"], [])
    return Opened(crops, backbone, make_step(backbone))


def make_step(backbone: FrozenBackbone) -> Any:
    """Returns the jitted `step(u8[n,S,S,3]) -> f32[n,D]`, with the preprocessing of training."""

    @jax.jit
    def step(variables: Any, crops: jax.Array) -> jax.Array:
        batch = {"clip": crops[:, None], "mask": jnp.ones((len(crops), 1), bool)}
        images = backbone.preprocess(batch, None, train=False)[STREAM][:, 0]
        return backbone.fns.apply(variables, images)

    return lambda crops: step(backbone.variables, crops)


def _compute(
    crops: Pack | CropFiles, rows: range, step: Any, job: ShardJob
) -> Iterator[VideoFeatures]:
    """Yields the features of each video, in order."""
    batch_size = job.batch_size
    plan = [
        Piece(row, start, min(start + batch_size, len(crops.frame_numbers(row))))
        for row in rows
        for start in range(0, len(crops.frame_numbers(row)), batch_size)
    ]
    load = _Loader(crops)
    with read_ahead(plan, load, workers=0, threads=job.threads, prefetch=4) as loaded:
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
