"""Good data, made once and never written to: videos, index, crops, pack, workdir, predictions."""

import fcntl
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import hostile_media
import pyarrow.parquet as pq
import pytest
from hostile_checks import Watch

from dfjax.commands.main import main

CROPS = ["--detector", "none", "--frames", "4", "--size", "32", "--workers", "1"]


class Honest(NamedTuple):
    """Files that are whole; cases take copies (`take`)."""

    videos: Path  # real/*, fake/swap/*
    index: Path  # of the videos
    crops: Path  # index.parquet, crops/…
    pack: Path
    workdir: Path  # of a run of two steps
    weights: Path  # of the run, as safetensors
    predictions: Path  # of the run, Parquet

    def take(self, name: str, target: Path) -> Path:
        """A copy of one of them, with hard links in place of files: never write into these."""
        source = getattr(self, name)
        if source.is_dir():
            return shutil.copytree(source, target, copy_function=os.link, symlinks=True)
        os.link(source, target)
        return target


@pytest.fixture(scope="session")
def honest(tmp_path_factory):
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = base / "honest"
    made = Honest(
        folder / "videos", folder / "index" / "index.parquet", folder / "crops", folder / "pack",
        folder / "workdir", folder / "weights.safetensors", folder / "predictions.parquet",
    )  # fmt: skip
    with (base / "honest.lock").open("w") as lock:  # of the processes of one session
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            make_honest(made)
    return made


def make_honest(made):
    """Makes everything with the commands that users have."""
    hostile_media.write_data_set(made.videos)
    commands = (
        ["data", "index", "--adapter", "folder", "--root", made.videos, "--out", made.index,
         "--ratios", "0.5,0.25,0.25", "--workers", "1"],
        ["data", "extract", "--index", made.index, "--out", made.crops, *CROPS],
        ["data", "pack", "--index", made.crops / "index.parquet", "--out", made.pack],
        ["train", "--config=resnet18:smoke", f"--workdir={made.workdir}",
         f"--config.data.path={made.pack}", "--config.data.pairing=balanced",
         "--config.preprocess.size=32", "--config.train.epochs=1"],
        ["export", "--workdir", made.workdir, "--to", "safetensors", "--out", made.weights],
        ["evaluate", "--workdir", made.workdir, "--out", made.workdir.parent / "eval"],
    )  # fmt: skip
    for command in commands:
        assert main([str(argument) for argument in command]) in (0, 1), command
    table = pq.read_table(made.workdir.parent / "eval" / "predictions.parquet")
    pq.write_table(table, made.predictions)


@pytest.fixture
def watch(tmp_path, request):
    """Runs calls on the case's input and checks the properties that always hold."""
    parameters = getattr(getattr(request.node, "callspec", None), "params", {})
    return Watch(tmp_path, parameters.get("case", request.node.name))
