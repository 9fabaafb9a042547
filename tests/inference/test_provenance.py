"""Tests the training data of a detector, including those of the runs its parameters come from."""

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest

from dfjax.config import load_config
from dfjax.data.store.feature_pack import RECORD
from dfjax.data.store.pack import Pack
from dfjax.errors import UsageError
from dfjax.experiment import run_data
from dfjax.experiment import workdir as workdirs
from dfjax.inference.provenance import (
    TracedRun,
    find_train_index,
    is_trained_on,
    list_held_back,
    open_data,
    trace_runs,
)


def make_run(folder, *overrides):
    config = load_config("resnet18", list(overrides))
    workdirs.prepare_workdir(folder, config)
    return TracedRun(folder, config)


def make_pack(videos):
    """Videos by id, each with its split and method; nobody reads their frames."""
    rows = [
        {"video_id": name, "split": split, "method": method, "label": 1, "frame_indices": [0]}
        for name, (split, method) in videos.items()
    ]
    return Pack(Path(), pd.DataFrame(rows).assign(pack_row=range(len(rows))), 8)


@pytest.fixture
def packs(monkeypatch):
    """The data of each run, by the name of its workdir."""
    found = {}

    def open_data(config, workdir):
        if workdir.name not in found:
            raise UsageError(f"no pack of {workdir}")
        return make_pack(found[workdir.name])

    monkeypatch.setattr(run_data, "open_data", open_data)
    return found


def test_runs_are_followed_back_over_phases_init_from_and_stored_features(tmp_path, capsys):
    make_run(tmp_path / "frames")
    make_run(tmp_path / "head", "train.init_from=" + str(tmp_path / "gone"))
    preprocess = {"size": 8, "mean": [0.0] * 3, "std": [1.0] * 3}
    record = {
        "features": 8, "parameters": "drawn", "precision": "float32", "backbone": {"name": "b0"},
        "preprocess": preprocess,
    }  # fmt: skip
    text = json.dumps(record | {"trained_in": str(tmp_path / "frames")})
    (tmp_path / "head" / RECORD).write_text(text)
    make_run(tmp_path / "w" / "phase1", f"train.init_from={tmp_path / 'head'}")
    last = make_run(tmp_path / "w", "train.init_from={workdir}/phase1")
    names = [run.workdir.name for run in trace_runs(*last)]
    assert names == ["w", "phase1", "head", "frames"]
    told = f"leaks from the training data of {tmp_path / 'gone'} are not checked"
    assert told in capsys.readouterr().err


def test_a_run_started_from_a_weights_file_is_told_to_be_unchecked(tmp_path, capsys):
    (tmp_path / "b4.safetensors").touch()
    run = make_run(tmp_path / "w", f"train.init_from={tmp_path}/b4.safetensors")
    assert trace_runs(*run) == [run]
    told = f"the data that {tmp_path}/b4.safetensors was trained on are not checked"
    assert told in capsys.readouterr().err


def test_what_an_earlier_run_trained_on_was_seen(tmp_path, packs):
    first = make_run(tmp_path / "first")
    second = make_run(
        tmp_path / "second",
        f"train.init_from={first.workdir}",
        "data.holdout_methods=('swap','warp')",
    )
    packs["first"] = {"a": ("train", "swap"), "b": ("test", "warp")}
    packs["second"] = {
        "a": ("test", "swap"), "b": ("train", "warp"), "c": ("train", "blend"), "d": ("val", "x"),
    }  # fmt: skip
    alone = find_train_index([first], make_pack(packs["first"]))
    assert alone["video_id"].tolist() == ["a"]
    seen = find_train_index([second], make_pack(packs["second"]))
    assert sorted(seen["video_id"]) == ["a", "c"], "b is of a method held back, a was in the first"
    assert list_held_back([second], seen) == ("warp",)


def test_data_that_are_gone_are_told_and_what_is_held_back_stays(tmp_path, packs, capsys):
    run = make_run(tmp_path / "run", "data.holdout_methods=('swap',)")
    assert find_train_index([run], None) is None
    other = make_run(tmp_path / "other", "data.holdout_methods=('swap','warp')")
    assert find_train_index([run, other], None) is None
    assert "other are not checked: no pack" in capsys.readouterr().err
    assert list_held_back([run, other], None) == ("swap",)


def test_a_detector_of_a_file_knows_its_data_by_the_hash_of_their_index(tmp_path):
    (tmp_path / "index.parquet").write_bytes(b"an index")
    data = make_pack({"a": ("train", "swap")})
    data.path = tmp_path
    sha256 = hashlib.sha256(b"an index").hexdigest()
    config = load_config("resnet18")
    assert is_trained_on(sha256, config, data)
    assert not is_trained_on("0" * 64, config, data)
    assert not is_trained_on("", config, data)  # a workdir, or a file of an earlier version
    other_splits = load_config("resnet18", ["data.fold=1/5"])
    assert not is_trained_on(sha256, other_splits, data)


def test_a_name_in_the_header_of_a_file_is_no_folder(tmp_path, packs, capsys):
    packs["w"] = {"a": ("train", "swap")}
    config = load_config("resnet18", ["data.path=pack"])
    assert open_data(TracedRun(tmp_path / "w", config)) is None
    assert "names its data, pack, and no folder" in capsys.readouterr().err
    make_run(tmp_path / "w", "data.path=pack")  # a workdir names a folder
    assert open_data(TracedRun(tmp_path / "w", config)) is not None
