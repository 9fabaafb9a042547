"""Computes features of face crops with a frozen backbone and stores them in shards."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dfjax import processes
from dfjax.console import say, track
from dfjax.data.beam_pipeline import Beam, make_beam
from dfjax.data.faces.crop_files import CropFiles
from dfjax.data.faces.recipe import read_crop_recipe
from dfjax.data.index.error_log import read_errors
from dfjax.data.store import feature_writer
from dfjax.data.store.feature_pack import FeaturePack, open_features
from dfjax.data.store.pack import add_recipe
from dfjax.data.store.pack_reader import Pack
from dfjax.errors import UsageError, unknown
from dfjax.experiment.frozen_backbone import FrozenBackbone, save_backbone
from dfjax.files import lock_folder
from dfjax.inference.feature_shards import (
    Opened,
    ShardJob,
    compute_on_beam,
    compute_shard,
    make_step,
)
from dfjax.results import Result

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
    beam_runner: str | None = None,
    beam_options: str = "",
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
        beam_runner: Runner of Apache Beam for the shards.
        beam_options: Options of that runner, as on a command line.

    Raises:
        UsageError: An argument is invalid, `out` holds something else, or no video has features.
        OSError: The disk is full; finished shards are kept.
    """
    threads = os.cpu_count() or 1 if threads is None else threads
    _check(batch_size, threads, dtype)
    beam = make_beam(out, beam_runner, beam_options)
    if (parameters := backbone.record["parameters"]).startswith("random"):
        say(f"warning: {parameters}: the backbone is not trained; give weights or a workdir")
    relative = os.path.relpath(source.resolve(), out.resolve())
    record = backbone.record | {"dtype": dtype, "source": relative}
    plan = _compute_plan_hash(crops, record)
    with processes.held_by_first(lock_folder(out)):
        with processes.first_alone():
            if feature_writer.is_finished(out, plan, fresh=fresh):
                if processes.is_first():
                    add_recipe(out, read_crop_recipe(source))
                return Extracted(open_features(out), read_errors(out), True, parameters)
            folder = feature_writer.open_partial(out, plan)
        job = ShardJob(str(folder.absolute()), batch_size, dtype, threads, plan)
        _compute(beam, job, Opened(crops, backbone, make_step(backbone)))
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


def _compute(beam: Beam | None, job: ShardJob, opened: Opened) -> None:
    """Computes the missing shards, and returns when those of all processes are finished."""
    if processes.is_first():
        save_backbone(opened.backbone, Path(job.folder))
    if beam:
        compute_on_beam(beam, job, opened)
    else:
        rows = _compute_rows(job, opened)
        for _ in track(rows, total=len(opened.crops) // processes.count(), what="videos"):
            pass
    processes.wait_for_all()


def _compute_rows(job: ShardJob, opened: Opened) -> Iterator[int]:
    """Computes the missing shards and yields the number of each row that is finished.

    Several processes take turns with the shards.
    """
    shards = list(enumerate(feature_writer.plan_shards(opened.crops.index)))
    for number, rows in shards[processes.index() :: processes.count()]:
        if feature_writer.is_shard_finished(Path(job.folder), number):
            yield from rows
        else:
            yield from compute_shard(job, opened, number, rows)
