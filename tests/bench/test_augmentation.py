"""`dfjax bench augment` beside a stand-in for the flagship's training step."""

import json
import time

import pytest

from dfjax.bench import augmentation as bench_augment
from dfjax.bench.workloads import Program
from dfjax.commands.main import main
from dfjax.data.transforms.augment_presets import PRESETS

KEYS = {
    "peer", "version", "source", "workload", "mode", "batch", "frames", "size", "device", "dtype",
    "compile", "median_s", "items_per_s", "peak_bytes", "params", "compile_s",
}  # fmt: skip


def test_every_preset_in_turn_with_a_training_step(capsys, monkeypatch):
    asked = []

    def make_program(settings):
        asked.append(settings)
        return Program(lambda: time.sleep(0.01), 0.0, 0, 0)

    few = {name: PRESETS[name] for name in ("none", "flip", "crop_jitter")}
    monkeypatch.setattr(bench_augment, "PRESETS", few)
    monkeypatch.setattr(bench_augment, "make_program", make_program)
    sizes = ("--batch", "2", "--frames", "2", "--size", "16", "--steps", "2")
    assert main(["bench", "augment", *sizes, "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert KEYS <= set(result)
    assert [(s.workload, s.mode, s.batch, s.frames, s.size) for s in asked] == [
        ("s0a", "train", 2, 2, 16)
    ]
    assert set(result["presets"]) == {"flip", "crop_jitter"}
    assert result["preset"] == "crop_jitter" and result["peak_bytes"] > 2 * 2 * 16 * 16 * 3
    assert result["items_per_s"] == pytest.approx(2 / result["median_s"])
    step = result["s0a_step"]["median_s"]
    assert step >= 0.01
    assert result["share_of_s0a_step"] == pytest.approx(result["median_s"] / step)
    assert result["presets"]["crop_jitter"]["share_of_s0a_step"] == result["share_of_s0a_step"]


def test_it_has_no_peer(capsys):
    assert main(["bench", "augment", "--compare", "torch"]) == 2
    assert "leave --compare out" in capsys.readouterr().err
