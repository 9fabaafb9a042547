"""Tests the order of steps of a workload and its peers, their memory settings, and the row."""

import os
import time

import jax
import pytest

from dfjax.bench import peers, speed
from dfjax.bench.rows import Cost, summarize, timed
from dfjax.bench.workloads import BenchSettings, Program
from dfjax.errors import UsageError
from dfjax.huge_pages import HUGE, TUNABLES

SETTINGS = BenchSettings("b0", "infer", 4, 1, 32, "float32", "auto")
PREALLOCATE = "XLA_PYTHON_CLIENT_PREALLOCATE"
PEER = """
import json, os, sys
log = open({log!r}, "a", buffering=1)
run = json.loads(sys.argv[1])
name = "kept" if os.environ.get({tunables!r}) else "plain"
if run["device"] == "cuda":
    name = "compiled" if run["compile"] else "eager"
costs = {{"kept": 8.0, "plain": 80.0, "eager": 30.0, "compiled": 20.0}}
print("ready", flush=True)
for line in sys.stdin:
    if line == "peak\\n":
        answer = 7000
    else:
        log.write((name + "\\n") * int(line))
        answer = [costs[name], 6.0 if name == "kept" else 7.0, 1.0 if name == "kept" else 30.0]
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture
def turns(monkeypatch, tmp_path):
    """The order of the turns, with stand-ins for our program and for the peers."""
    log, script = tmp_path / "log", tmp_path / "peer.py"
    script.write_text(PEER.format(log=str(log), tunables=TUNABLES))
    monkeypatch.setattr(peers, "SCRIPT", script)

    def run(count):
        with log.open("a") as file:
            file.write("ours\n" * count)

    monkeypatch.setattr(speed, "make_program", lambda settings: Program(run, 1.0, 10, 3))
    return lambda: log.read_text().split()


def test_the_peer_has_our_memory_settings_and_a_plain_one_stands_beside(turns, monkeypatch):
    monkeypatch.setenv(TUNABLES, HUGE)
    row = speed.measure_speed(SETTINGS, steps=3, compare=True)
    # After 20 s the plain peer takes no further step than the warm-up and a timed one.
    assert turns() == ["ours", "kept", "plain"] * 2 + ["ours", "kept"] * 2
    kept, plain = row["torch"], row["torch_plain"]
    assert kept == {
        "median_s": 8.0, "items_per_s": 0.5, "user_s": 6.0, "system_s": 1.0, "steps": 3,
    }  # fmt: skip
    assert (plain["median_s"], plain["user_s"], plain["steps"]) == (80.0, 7.0, 1)
    assert row["ratio"] == pytest.approx(8 / row["median_s"])
    assert row["ratio_plain"] == pytest.approx(80 / row["median_s"])


def test_one_peer_is_both_where_nothing_was_set(turns, monkeypatch):
    monkeypatch.delenv(TUNABLES, raising=False)
    row = speed.measure_speed(SETTINGS, steps=2, compare=True)
    assert turns() == ["ours", "plain"] * 3
    assert row["torch"] == row["torch_plain"] and row["ratio"] == row["ratio_plain"]


def test_a_gpu_is_shared_with_one_peer_at_a_time_for_turns_of_several_steps(turns, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(speed, "GPU_TURN", 2)
    monkeypatch.delenv(PREALLOCATE, raising=False)
    row = speed.measure_speed(SETTINGS, steps=1, compare=True)
    assert turns() == ["ours"] * 2 + ["eager"] * 2 + ["ours"] * 2 + ["eager"] * 2 + [
        "ours"] * 2 + ["compiled"] * 2 + ["ours"] * 2 + ["compiled"] * 2  # fmt: skip
    assert os.environ[PREALLOCATE] == "false"  # so that a peer finds memory
    eager, compiled = row["torch"], row["torch_compiled"]
    assert (eager["median_s"], eager["items_per_s"], eager["steps"]) == (15.0, 4 / 15, 1)
    assert (compiled["median_s"], compiled["peak_bytes"]) == (10.0, 7000)
    assert row["ratio"] == pytest.approx(15 / row["median_s"])
    assert row["ratio_compiled"] == pytest.approx(10 / row["median_s"])
    assert not {"torch_plain", "ratio_plain"} & set(row)


@pytest.mark.slow
def test_without_a_comparison_no_peer_starts(turns):
    row = speed.measure_speed(SETTINGS, steps=2)
    assert turns() == ["ours"] * 3
    assert not {"torch", "torch_plain", "ratio", "ratio_plain"} & set(row)


def test_a_peer_that_cannot_start_is_wrong_usage(turns, monkeypatch, tmp_path):
    monkeypatch.setattr(peers, "SCRIPT", tmp_path / "none.py")
    with pytest.raises(UsageError, match="checkout"):
        speed.measure_speed(SETTINGS, steps=1, compare=True)
    script = tmp_path / "broken.py"
    script.write_text("import sys; sys.exit(1)")
    monkeypatch.setattr(peers, "SCRIPT", script)
    with pytest.raises(UsageError, match="did not start"):
        speed.measure_speed(SETTINGS, steps=1, compare=True)
    script.write_text("print('ready', flush=True)")
    with pytest.raises(UsageError, match="ended"):
        speed.measure_speed(SETTINGS, steps=1, compare=True)


def test_cpu_seconds_are_those_of_the_work_and_not_of_waiting():
    costs: list[Cost] = []
    with timed(costs):
        end = time.process_time() + 0.2
        while time.process_time() < end:
            pass
    with timed(costs):
        time.sleep(0.2)
    busy, idle = costs
    assert busy.user + busy.system == pytest.approx(0.2, abs=0.05)
    assert idle.wall >= 0.2 and idle.user + idle.system < 0.1


def test_medians_are_per_step():
    costs = [Cost(2, 4, 1), Cost(6, 2, 3), Cost(4, 3, 2)]
    assert summarize(costs, batch=8, steps=2) == {
        "median_s": 2, "items_per_s": 4, "user_s": 1.5, "system_s": 1,
    }  # fmt: skip
