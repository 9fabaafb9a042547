"""Tests that Apache Beam gives the same outcomes as the pool of processes."""

import json
import sys

import pytest

from dfjax.commands.main import main
from dfjax.data.faces.beam_runner import (
    CHUNK,
    describe_counters,
    make_chunks,
    read_counters,
    read_outcomes,
    run_chunk,
    run_on_beam,
)
from dfjax.data.faces.worker_pool import Outcome
from dfjax.errors import InputError


def shout(task):
    if task == "bad":
        raise InputError("no good")
    return task.upper()


def test_chunks_number_all_tasks_in_order():
    chunks = make_chunks(list(range(100, 100 + 2 * CHUNK + 3)))
    assert [len(chunk) for chunk in chunks] == [CHUNK, CHUNK, 3]
    assert [item for chunk in chunks for item in chunk] == [
        (k, 100 + k) for k in range(2 * CHUNK + 3)
    ]


def test_outcomes_of_chunks_are_put_in_order_again(tmp_path):
    lines = run_chunk([(7, "a"), (9, "bad")], shout, 20.0)
    assert sorted(map(json.loads, lines)) == [[7, "A", None], [9, None, "no good"]]
    (tmp_path / "outcomes-00001").write_text("\n".join(lines))
    (tmp_path / "outcomes-00000").write_text('[8, "B", null]\n')
    assert list(read_outcomes(tmp_path)) == [
        Outcome(7, "A", None), Outcome(8, "B", None), Outcome(9, None, "no good"),
    ]  # fmt: skip


def test_no_tasks_need_no_pipeline(tmp_path):
    nothing = run_on_beam(shout, [], runner="x", options=[], folder=tmp_path, time_limit=1.0)
    assert list(nothing) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--beam-runner", "DirectRunner"], "pip install 'dfjax[beam]'"),
        (["--beam-options=--x=1"], "beam_options needs beam_runner"),
    ],
)
def test_without_beam_the_extra_is_named(capsys, monkeypatch, arguments, message):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    assert main(["data", "extract", "--index", "i", "--out", "o", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_counters_of_a_pipeline_are_one_line():
    counters = {"started": 3, "failed": 1, "done": 2}
    assert describe_counters(counters, 3) == "Beam: 3 tasks (3 started, 2 done, 1 failed)"
    assert describe_counters({}, 3) == "Beam: 3 tasks"


def test_a_runner_without_metrics_has_no_counters():
    class Result:
        def metrics(self):
            raise NotImplementedError

    assert read_counters(Result()) == read_counters(None) == {}


@pytest.mark.beam
def test_the_direct_runner_gives_the_outcomes_of_the_pool(tmp_path, capsys):
    tasks = ["a", "b", "bad", "c"]
    outcomes = list(
        run_on_beam(
            shout, tasks, runner="DirectRunner", options=[], folder=tmp_path, time_limit=60.0
        )
    )
    assert outcomes == [
        Outcome(0, "A", None), Outcome(1, "B", None), Outcome(2, None, "no good"),
        Outcome(3, "C", None),
    ]  # fmt: skip
    assert list(tmp_path.iterdir()) == []
    assert "Beam: 4 tasks (4 started, 3 done, 1 failed)" in capsys.readouterr().err
