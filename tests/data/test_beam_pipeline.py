"""Tests the pipeline of Apache Beam: its stages, dead letters and counters, and its four commands.

Each command must give what it gives without Beam.
"""

import functools
import json
import sys
from unittest.mock import MagicMock

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.commands.main import main
from dfjax.data.beam_counters import describe_counters, read_counters
from dfjax.data.beam_pipeline import (
    Beam,
    Stage,
    in_process,
    in_worker,
    make_beam,
    read_items,
    run_on_beam,
    write_items,
)
from dfjax.data.faces.worker_pool import Outcome
from dfjax.data.index.records import make_index, make_record, read_index, write_index
from dfjax.data.store import feature_writer, pack_builder
from dfjax.errors import InputError, UsageError
from dfjax.models import build
from dfjax.weights.safetensors_file import save_safetensors

DIRECT = ("--beam-runner", "DirectRunner")


def shout(task):
    if task == "bad":
        raise InputError("no good")
    return {"text": task.upper()}


def measure(task):
    if task["text"] == "HUGE":
        raise InputError("too long")
    return {"length": len(task["text"])}


def find_odd(name, value):
    return [(f"{name}/tail", "odd")] if value["length"] % 2 else []


def test_items_are_read_by_the_place_of_their_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr("dfjax.data.beam_pipeline.count", lambda stage, **counts: None)
    items = [{"x": [n, None]} for n in range(5)]
    places = write_items(tmp_path / "items.jsonl", items, list("abcde"), 2)
    assert [len(read_items(place)) for place in places] == [2, 2, 1]
    assert read_items(places[1]) == [(2, "c", items[2]), (3, "d", items[3])]


def test_no_items_need_no_pipeline(tmp_path):
    assert list(run_on_beam(Beam("x", (), tmp_path / "out"), [], [], [])) == []


@pytest.mark.parametrize(
    "command",
    [
        ["data", "extract", "--index", "i", "--out", "o"],
        ["data", "pack", "--index", "i", "--out", "o"],
    ],
)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--beam-runner", "DirectRunner"], "pip install 'dfjax[beam]'"),
        (["--beam-options=--x=1"], "beam_options needs beam_runner"),
    ],
)
def test_without_beam_the_extra_is_named(capsys, monkeypatch, command, arguments, message):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    assert main([*command, *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_beam_needs_an_output_and_replaces_no_file_of_the_user(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="beam_runner needs out"):
        make_beam(None, "DirectRunner")
    monkeypatch.setitem(sys.modules, "apache_beam", MagicMock())
    (tmp_path / "out.dead_letters.jsonl").write_text("a letter to a friend\n")
    with pytest.raises(UsageError, match="was not written by dfjax"):
        make_beam(tmp_path / "out", "DirectRunner")


def test_counters_of_a_stage_are_one_line():
    counters = {"read.started": 3, "read.done": 3, "say.started": 3, "say.failed": 1, "say.done": 2}
    assert describe_counters(counters, ["read", "say", "other"]) == [
        "Beam: read: 3 started, 3 done", "Beam: say: 3 started, 2 done, 1 failed",
    ]  # fmt: skip


def test_a_runner_without_metrics_has_no_counters():
    class Result:
        def metrics(self):
            raise NotImplementedError

    assert read_counters(Result()) == read_counters(None) == {}


@pytest.mark.beam
def test_every_stage_counts_and_has_its_dead_letters(tmp_path, capsys):
    beam = make_beam(tmp_path / "out", "DirectRunner")
    stages = [
        Stage("shout", in_process(shout, 60.0)), Stage("measure", in_worker(measure), find_odd)
    ]  # fmt: skip
    items = ["ab", "bad", "abc", "huge"]
    outcomes = list(run_on_beam(beam, stages, items, list("wxyz"), chunk=3))
    assert outcomes == [
        Outcome(0, {"length": 2}, None), Outcome(1, None, "no good"),
        Outcome(2, {"length": 3}, None), Outcome(3, None, "too long"),
    ]  # fmt: skip
    letters = [json.loads(line) for line in beam.dead_letters.read_text().splitlines()]
    assert letters == [
        {"item": "x", "stage": "shout", "error": "no good"},
        {"item": "y/tail", "stage": "measure", "error": "odd"},
        {"item": "z", "stage": "measure", "error": "too long"},
    ]
    error = capsys.readouterr().err
    assert "Beam: read: 4 started, 4 done\n" in error
    assert "Beam: shout: 4 started, 3 done, 1 failed\n" in error
    assert "Beam: measure: 3 started, 2 done, 1 failed, 1 failed parts\n" in error
    assert [path.name for path in tmp_path.iterdir()] == ["out.dead_letters.jsonl"]
    beam.clear()
    assert not list(tmp_path.iterdir())


def letters(out):
    path = out.with_name(f"{out.name}.dead_letters.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def contents(folder):
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Index of three images and a file that is none."""
    folder, rng, rows = tmp_path_factory.mktemp("videos"), np.random.default_rng(0), []
    for name in ("a", "b", "c", "bad"):
        cv2.imwrite(str(folder / f"{name}.png"), rng.integers(0, 256, (40, 60, 3), np.uint8))
        rows.append(
            make_record(
                video_id=f"set/{name}", dataset="set", label=len(rows) % 2, split="train",
                method="m" if len(rows) % 2 else "real", root=str(folder), path=f"{name}.png",
            )
        )  # fmt: skip
    (folder / "bad.png").write_text("not an image")
    write_index(make_index(rows), folder / "index.parquet", command="test")
    return folder


@pytest.mark.beam
def test_extract_gives_the_same_crops(videos, tmp_path):
    command = ["data", "extract", "--index", videos / "index.parquet", "--detector", "none"]
    command = [*map(str, command), "--size", "32", "--workers", "1", "--out"]
    pool, beam = tmp_path / "pool", tmp_path / "beam"
    assert main([*command, str(pool)]) == main([*command, str(beam), *DIRECT]) == 1
    assert read_index(beam / "index.parquet").equals(read_index(pool / "index.parquet"))
    ours, theirs = contents(beam), contents(pool)
    assert ours.pop("index.parquet") and theirs.pop("index.parquet")  # which name the command
    assert ours == theirs
    (letter,) = letters(beam)
    assert (letter["item"], letter["stage"]) == ("set/bad", "extract")


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    """Index of the crops of four videos, one of which is damaged and one absent."""
    folder, rng, rows = tmp_path_factory.mktemp("crops"), np.random.default_rng(1), []
    for number, frames in enumerate((40, 3, 5, 2)):
        (folder / f"crops/{number}").mkdir(parents=True)
        for frame in range(frames):
            image = rng.integers(0, 256, (32, 32, 3), np.uint8)
            cv2.imwrite(str(folder / f"crops/{number}/{frame:06d}.jpg"), image)
        rows.append(
            make_record(
                video_id=f"set/{number}", dataset="set", label=number % 2, method="m",
                split=("train", "test")[number % 2], frames_dir=f"crops/{number}",
                frame_indices=list(range(frames)),
            )
        )  # fmt: skip
    (folder / "crops/2/000001.jpg").write_bytes(b"\xff\xd8")
    for file in (folder / "crops/3").iterdir():
        file.unlink()
    write_index(make_index(rows), folder / "index.parquet", command="test")
    return folder


@pytest.mark.beam
def test_pack_gives_the_same_bytes(crops, tmp_path, monkeypatch):
    monkeypatch.setattr(pack_builder, "RECORDS_PER_SHARD", 2)
    command = ["data", "pack", "--index", str(crops / "index.parquet"), "--out"]
    threads, beam = tmp_path / "threads", tmp_path / "beam"
    assert main([*command, str(threads)]) == main([*command, str(beam), *DIRECT]) == 1
    assert contents(beam) == contents(threads)
    assert len(list(beam.glob("*.array_record-*"))) == 3
    found = [(letter["item"], letter["stage"]) for letter in letters(beam)]
    lost = [f"set/3/{frame:06d}.jpg" for frame in range(2)]
    assert found == [(name, "check") for name in ("set/2/000001.jpg", *lost)]


@pytest.mark.beam
def test_features_are_the_same_numbers(crops, tmp_path, monkeypatch):
    monkeypatch.setattr(feature_writer, "FRAMES_PER_SHARD", 8)
    command = [
        "data",
        "features",
        "--index",
        str(crops / "index.parquet"),
        "--backbone",
        "resnet18",
    ]
    command += ["--backbone", "resnet18", "--width", "0.125", "--one-block", "--size", "32"]
    command += ["--batch-size", "4", "--out"]
    alone, beam = tmp_path / "alone", tmp_path / "beam"
    assert main([*command, str(alone)]) == main([*command, str(beam), *DIRECT]) == 1
    ours, theirs = contents(beam), contents(alone)
    matrices = [name for name in theirs if name.endswith(".npy")]
    assert len(matrices) == 2 and all(ours[name] == theirs[name] for name in matrices)
    indexes = [read_index(folder / "index.parquet") for folder in (beam, alone)]
    assert indexes[0].equals(indexes[1]) and ours["errors.jsonl"] == theirs["errors.jsonl"]
    assert ours.keys() == theirs.keys()


@pytest.mark.beam
def test_predict_gives_the_same_verdicts(videos, tmp_path, capsys):
    weights = tmp_path / "meso4.safetensors"
    inputs = {"rgb": jnp.zeros((1, 1, 256, 256, 3)), "mask": jnp.ones((1, 1), bool)}
    variables = jax.jit(build("meso4").init)(jax.random.key(0), inputs)
    save_safetensors(weights, variables, metadata={"model": "meso4"})
    command = ["predict", "--weights", str(weights), str(videos), "--detector", "none", "--json"]
    run = functools.partial(main, [*command, "--batch-size", "2", "--out", str(tmp_path / "alone")])
    assert run() == 1
    expected = json.loads(capsys.readouterr().out.splitlines()[-1])
    beam = tmp_path / "beam"
    assert main([*command, "--batch-size", "2", "--out", str(beam), *DIRECT]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out.splitlines()[-1]) == expected
    assert sorted(one["status"] for one in expected["results"]) == ["error", "ok", "ok", "ok"]
    assert "Beam: read_faces: 4 started, 3 done, 1 failed\n" in captured.err
    assert "Beam: score: 3 started, 3 done\n" in captured.err
    (letter,) = letters(beam)
    assert letter["item"].endswith("bad.png") and letter["stage"] == "read_faces"
    assert contents(beam).keys() == contents(tmp_path / "alone").keys()
