"""All workloads in processes of their own, and the page of a benchmark."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from dfjax.bench import peers, suite
from dfjax.bench.environment import Check, MachineChecks
from dfjax.bench.measure import NAMES, NOT_TAKEN
from dfjax.bench.page import write_bench
from dfjax.commands.main import main

MACHINE = MachineChecks(
    [
        Check("devices", "jax", True, "1 × cpu (<cpu>)"),
        Check("detectors", "mtcnn", True, "not there: pip install 'dfjax[face]'"),
    ]
)
STUB = """
import json, os, sys, time
run, answer = json.loads(sys.argv[1]), sys.argv[2]
name = run["workload"]
if name == "unet":
    os.kill(os.getpid(), 9)
if name == "two_stream":
    time.sleep(0.3)
    os.kill(os.getppid(), 2)  # an interrupt of the command
    time.sleep(600)
row = {{"workload": name, "mode": run.get("mode"), "batch": 1, "dtype": run["dtype"],
    "frames": run["frames"], "size": 64, "items_per_s": 4.0, "median_s": 0.125, "user_s": 0.5,
    "system_s": 0.0, "peak_bytes": 2e9, "compile_s": 3.0, "params": 1}}
result = {{"error": "no videos"}} if name == "faces" else [row] * (name != "input")
json.dump(result, open(answer, "w"))
"""
"""A measurement that takes no time, one that is killed, one that never ends, one that fails, and
one that has no rows."""
TERMINATED = """
import sys
from dfjax.bench import suite
from dfjax.bench.environment import MachineChecks
from dfjax.commands import bench
from dfjax.commands.main import main

measured = '''
import json, os, time
def serve(run, answer):
    if json.loads(run)["workload"] == "b4":
        print("measuring", file=sys.stderr, flush=True)
        time.sleep(600)
    row = {{"workload": "faces", "detector": "haar", "median_ms": 7.5, "frames": 4}}
    row |= {{"frames_with_face": 3, "faces": 5, "drawn": False}}
    json.dump([row], open(answer, "w"))
'''
lines = "from dfjax.bench.measure import serve\\n"
assert lines in suite.PROGRAM
suite.PROGRAM = suite.PROGRAM.replace(lines, measured)
bench.check_machine = lambda: MachineChecks([])  # which takes seconds
suite.list_runs = lambda *given: iter([{"workload": "faces"}, {"workload": "b4"}])
sys.argv = ["dfjax", "bench", "--all", "--out", sys.argv[1]]
sys.exit(main())
"""
"""The command with two workloads that measure nothing, of which the second one never ends."""


@pytest.fixture
def runs(monkeypatch):
    """Returns the list of the runs of `all`, whose processes measure nothing."""
    chosen = []
    monkeypatch.setattr(suite, "PROGRAM", STUB)
    monkeypatch.setattr(suite, "list_runs", lambda *given: iter(chosen))
    return chosen


def test_every_workload_is_measured_once_in_each_mode():
    runs = list(suite.list_runs(2000, "torch", ["v.mp4"], None))
    assert {run["workload"] for run in runs} == {*NAMES} - {suite.ALL}
    names = [suite.name_run(run) for run in runs]
    assert len(set(names)) == len(names)
    for run in runs:  # no workload gets what it does not take
        assert not [key for key in NOT_TAKEN.get(run["workload"], ()) if run.get(key)]
    without = list(suite.list_runs(2000, None, [], None))
    assert [suite.name_run(run) for run in without] == names
    assert not any(run.get("compare") for run in without)


def test_workloads_run_alone_and_those_that_fail_have_a_row(runs, tmp_path, capsys):
    runs += [{"workload": "convlstm", "mode": "infer"}, {"workload": "faces"}]
    runs += [{"workload": "unet", "mode": "train"}, {"workload": "convlstm", "mode": "train"}]
    page = tmp_path / "bench.html"
    given = ["--frames", "3", "--json", "--out", str(page)]
    assert main(["bench", "--all", *given]) == 1
    printed = capsys.readouterr()
    rows = json.loads(printed.out.splitlines()[-1])["rows"]
    first, failed, killed, last = rows
    assert (first["mode"], last["mode"], first["frames"]) == ("infer", "train", 3)
    assert failed["error"] == "no videos" and "exit code -9" in killed["error"]
    assert all(row["other_cores"] is None or row["other_cores"] >= 0 for row in rows)
    assert "1/4 convlstm infer" in printed.err and "faces was not measured" in printed.err
    text = page.read_text()
    assert "125.0" in text and "no videos" in text and "unet train:" in text
    del runs[1:3]
    assert main(["bench", "all", *given]) == 0  # our own page is replaced
    runs.append({"workload": "input"})
    assert main(["bench", "all", *given]) == 1
    assert "input was not measured: it gave no figures" in capsys.readouterr().err
    assert main(["bench", "convlstm", "--out", str(page)]) == 2


def test_without_pytorch_there_are_no_ratios_and_the_page_says_why(runs, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else find(name)
    )
    runs.append({"workload": "convlstm", "mode": "infer"})
    page = tmp_path / "bench.html"
    assert main(["bench", "--all", "--out", str(page)]) == 0
    assert page.read_text().count("PyTorch is not installed") == 1
    monkeypatch.undo()
    monkeypatch.setattr(suite, "SCRIPT", peers.SCRIPT.parent / "none.py")
    assert "checkout" in suite.find_missing() or find("torch") is None


def test_an_interrupt_keeps_what_was_measured(tmp_path, monkeypatch, capsys):
    page = tmp_path / "bench.html"
    monkeypatch.setattr(suite, "PROGRAM", STUB)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    start = time.monotonic()
    assert main(["bench", "--all", "--out", str(page)]) == 130
    assert time.monotonic() - start < 300  # the process that never ends was ended
    assert "9/20 two_stream infer" in capsys.readouterr().err
    text = page.read_text()
    assert "dual_stream train" in text and "125.0" in text
    assert "interrupted before:" in text and "two_stream infer, two_stream train" in text
    assert not list(tmp_path.glob("dfjax-bench-*"))


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_terminated_command_leaves_no_process(tmp_path, signum):
    page, temporary = tmp_path / "bench.html", tmp_path / "temporary"
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", TERMINATED, str(page)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(temporary), "GLIBC_TUNABLES": "", "JAX_PLATFORMS": "cpu"},
    )
    assert "measuring\n" in iter(process.stderr.readline, "")
    process.send_signal(signum)
    process.communicate(timeout=600)  # the pipe ends with the last process that has it
    if signum == signal.SIGKILL:
        assert process.returncode == -signum
    else:
        assert process.returncode == 130 and "interrupted before:" in page.read_text()
        assert not list(temporary.iterdir())


@pytest.mark.parametrize("wrong", ["videos", "detector", "empty"])
def test_wrong_paths_are_found_before_the_first_run(runs, tmp_path, capsys, wrong):
    runs.append({"workload": "convlstm", "mode": "infer"})
    (tmp_path / "config.json").write_text("{}")
    given = {"videos": ["none.mp4"], "detector": ["--workdir", "none"]}
    given["empty"] = ["--workdir", str(tmp_path)]
    assert main(["bench", "--all", "--out", str(tmp_path / "b.html"), *given[wrong]]) == 2
    error = capsys.readouterr().err
    said = {"videos": "no such file or folder: none.mp4", "detector": "none is not a workdir"}
    assert said.get(wrong, "has no checkpoint best") in error and "1/1" not in error


def test_the_videos_follow_either_name_and_sizes_are_not_for_a_given_detector(
    monkeypatch, tmp_path
):
    calls, page = [], str(tmp_path / "bench.html")
    video = tmp_path / "a.mp4"
    video.touch()
    monkeypatch.setattr(suite, "_run_alone", lambda run: calls.append(run) or [])
    monkeypatch.setattr(suite.verdicts, "check_inputs", lambda videos, detector: None)
    monkeypatch.setattr("dfjax.commands.bench.write_bench", lambda *given: None)
    for given in (["all", str(video), "--out", page], ["--all", "--out", page, str(video)]):
        given += ["--frames", "3", "--workdir", "runs/first"]
        assert main(["bench", *given]) == 0
        predict, shared = calls[-1], calls[0]
        assert predict["videos"] == [str(video)] and predict["detector"] == "runs/first"
        assert "frames" not in predict and shared["frames"] == 3
        calls.clear()


def make_row(**values):
    row = {
        "mode": "infer", "batch": 2, "dtype": "float32", "frames": 10, "size": 224,
        "items_per_s": 4.0, "median_s": 0.5, "user_s": 0.75, "system_s": 0.25, "peak_bytes": 2e9,
        "compile_s": 3.0, "params": 1,
    }  # fmt: skip
    return row | values


def test_the_page_has_every_row(tmp_path):
    rows = [
        make_row(workload="b0", ratio=1.25, ratio_plain=2.5),
        make_row(workload="unet", ratio=0.8, ratio_plain=2.5),
        make_row(workload="two_stream"),
        {"workload": "b4", "mode": "train", "error": "no <memory>"},
        make_row(
            workload="augment",
            dual_stream_step={"median_s": 0.064},
            presets={"strong": {"median_s": 0.004, "share_of_dual_stream_step": 0.0625}},
        ),
        make_row(workload="input", ratio=3.5, growth_percent=None, clips=10),
        {
            **{"workload": "faces", "detector": "haar", "median_ms": 7.5, "frames": 4},
            **{"frames_with_face": 3, "faces": 5, "drawn": False},
        },
        {
            **{"workload": "predict", "detector": "<d>", "videos": 4, "verdicts": 20, "frames": 10},
            **{"size": 224, "dtype": "float32", "workers": 2, "first_s": 9.0, "p50_s": 1.5},
            **{"p95_s": 1.75, "videos_per_s": 0.8, "peak_bytes": 1e9, "worker_peak_bytes": 2e8},
            "drawn": True,
        },
    ]
    write_bench(tmp_path / "b.html", rows, MACHINE)
    page = (tmp_path / "b.html").read_text()
    for text in ("1.25", "2.50", "500.0", "1000.0", "6.2%", "3.50", "7.5", "3 of 4", "1.75 s"):
        assert text in page, text
    assert "used by other programs" not in page
    rows[2]["other_cores"] = 1.26
    write_bench(tmp_path / "c.html", rows, MACHINE)
    assert "up to 1.3 cores were used by other programs" in (tmp_path / "c.html").read_text()
    assert (
        "inference: times PyTorch" in page and "1.00 ×" in page and "0.80 to 1.25" in page
    )  # the geometric mean
    assert "no &lt;memory&gt;" in page and "&lt;d&gt;" in page and "&lt;cpu&gt;" in page
    assert "mtcnn:" in page and "4, drawn" in page and "given videos" in page
    assert "<script" not in page and "http" not in page.partition("<main")[2]
