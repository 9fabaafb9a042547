"""Tests `dfjax bench augment` with a substitute for the training step of the detector."""

import json
import time

import pytest

from dfjax.bench import augmentation
from dfjax.bench.workloads import Program
from dfjax.commands.main import main
from dfjax.data.transforms.augment_presets import Augmentation

KEYS = {
    "peer", "version", "source", "workload", "mode", "batch", "frames", "size", "device", "dtype",
    "compile", "median_s", "items_per_s", "user_s", "system_s", "peak_bytes", "params", "compile_s",
}  # fmt: skip


def test_every_preset_takes_turns_with_a_training_step(capsys, monkeypatch):
    asked = []

    def make_program(settings):
        asked.append(settings)
        return Program(lambda count: time.sleep(0.01), 0.0, 0, 0)

    operations = {"still": {}, "flip": {"flip": (0.5,)}, "light": {"brightness": (1.0, 0.8, 1.2)}}
    few = {name: Augmentation(values) for name, values in operations.items()}
    monkeypatch.setattr(augmentation, "PRESETS", few)
    monkeypatch.setattr(augmentation, "make_program", make_program)
    sizes = ("--batch", "2", "--frames", "2", "--size", "16", "--steps", "2")
    assert main(["bench", "augment", *sizes, "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert KEYS <= set(result)
    assert [(s.workload, s.mode, s.batch, s.frames, s.size) for s in asked] == [
        ("dual_stream", "train", 2, 2, 16)
    ]
    presets = result["presets"]
    assert set(presets) == {"flip", "light"}  # a preset without operations takes no time
    assert result["median_s"] == max(preset["median_s"] for preset in presets.values())
    assert result["median_s"] == presets[result["preset"]]["median_s"]
    assert result["peak_bytes"] > 2 * 2 * 16 * 16 * 3
    assert result["items_per_s"] == pytest.approx(2 / result["median_s"])
    step = result["dual_stream_step"]["median_s"]
    assert step >= 0.01
    for preset in presets.values():
        assert preset["share_of_dual_stream_step"] == pytest.approx(preset["median_s"] / step)


def test_it_has_no_peer(capsys):
    assert main(["bench", "augment", "--compare", "torch"]) == 2
    assert "the workload augment does not take compare" in capsys.readouterr().err
