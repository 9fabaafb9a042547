"""The commands that are disturbed, and what their results are compared by."""

import json

import jax
import numpy as np
import pandas as pd
from final_state import read_final_state

from dfjax.data.index.records import read_index
from dfjax.training.metric_writer import read_history, read_jsonl

CROPS = ("--detector", "none", "--frames", "4", "--size", "32", "--workers", "2")
CHANGING = ("time", "generated", "seconds", "version", "index_sha256", "source_sha256")


def extract(honest, out):
    return ("data", "extract", "--index", honest.index, "--out", out, *CROPS)


def pack(honest, out):
    return ("data", "pack", "--index", honest.crops / "index.parquet", "--out", out)


def prepare(honest, out):
    return (
        "data", "prepare", "--adapter", "folder", "--root", honest.videos, "--out", out,
        "--ratios", "0.5,0.25,0.25", *CROPS,
    )  # fmt: skip


def train(honest, out):
    return (
        "train", "--config=resnet18:smoke", f"--workdir={out}",
        f"--config.data.path={honest.pack}", "--config.train.batch_size=2",
        "--config.checkpoint.every_steps=1", "--config.preprocess.size=32",
        "--config.writers.tensorboard=False",
    )  # fmt: skip


def check_files(whole, out):
    """The same files with the same content; times and versions may differ."""
    mine, theirs = (
        {p.relative_to(f) for p in f.rglob("*") if ".partial" not in p.name} for f in (out, whole)
    )  # a killed process cannot remove the file that it was writing
    assert mine == theirs, mine ^ theirs
    for name in sorted(mine):
        path, other = out / name, whole / name
        if path.suffix == ".parquet":
            a, b = (json.loads(read_index(p).to_json(orient="records")) for p in (path, other))
        elif path.suffix == ".json":
            a = _without_times(json.loads(path.read_text()), out)
            b = _without_times(json.loads(other.read_text()), whole)
        elif path.is_dir() or path.suffix == ".html":
            continue
        else:
            a, b = path.read_bytes(), other.read_bytes()
        assert a == b, name


def _without_times(value, folder):
    """A JSON value without times, and without hashes of files that hold times."""
    if isinstance(value, dict):
        drop = (*CHANGING, "index.parquet")
        return {k: _without_times(v, folder) for k, v in value.items() if k not in drop}
    if isinstance(value, list):
        return [_without_times(v, folder) for v in value]
    return value.replace(str(folder), "OUT") if isinstance(value, str) else value


def check_run(whole, out):
    """The same bits in the checkpoints, and every step and epoch once in the logs."""
    (step, state), (expected_step, expected) = read_final_state(out), read_final_state(whole)
    assert step == expected_step
    jax.tree.map(np.testing.assert_array_equal, state, expected)
    names = ("step", "epoch", "split", "loss", "clip_auc")
    mine, theirs = (
        [[row.get(n) for n in names] for row in read_jsonl(folder / "metrics.jsonl")]
        for folder in (out, whole)
    )
    assert mine == theirs
    mine, theirs = (pd.DataFrame(read_history(f / "history.csv")) for f in (out, whole))
    assert mine.drop(columns="seconds").equals(theirs.drop(columns="seconds"))


RUNS = {extract: check_files, pack: check_files, prepare: check_files, train: check_run}
"""The commands, and how two results of one are compared."""
