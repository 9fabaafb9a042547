"""Tests that training on permuted labels gives an AUC of 0.5, so that no label leaks."""

import json
import os
import subprocess
import sys

import pytest


def dfjax(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "dfjax", *map(str, arguments)],
        env=os.environ | {"XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.release
def test_training_on_shuffled_labels_ends_at_chance(tmp_path):
    crops, pack, workdir = tmp_path / "crops", tmp_path / "pack", tmp_path / "workdir"
    dfjax("data", "synth", "--out", crops, "--videos", 720, "--identities", 120)
    dfjax("data", "pack", "--index", crops / "index.parquet", "--out", pack)
    dfjax(
        *("train", "--config=resnet18:tiny", f"--workdir={workdir}"),
        *(f"--config.data.path={pack}", "--config.data.shuffle_labels=True"),
        *("--config.data.pairing=balanced", "--config.train.epochs=4"),
    )
    dfjax("evaluate", "--workdir", workdir, "--out", tmp_path / "eval")
    metrics = json.loads((tmp_path / "eval" / "metrics.json").read_text())
    assert metrics["n"]["real"] >= 100 and metrics["n"]["fake"] >= 100
    assert 0.35 <= metrics["overall"]["video_auc"] <= 0.65
