import importlib.metadata
import json
import signal
import subprocess
import sys
import threading
import time

import jax
import jax.numpy as jnp
import pytest

from dfjax import child_processes
from dfjax.bench import plan, plan_program
from dfjax.bench.hlo_figures import Collective
from dfjax.bench.plan_report import describe_plan
from dfjax.commands.main import main
from dfjax.errors import RunError, UsageError
from dfjax.experiment.step_program import TracedStep

FIGURES = {
    **{"flops": 12e9, "bytes_accessed": 24e9, "hbm_bytes": 6e9, "cycles": 12e6},
    "text_cycles": 11.4e6,
    **{"padding_waste": 1.2, "temp_bytes": 5e9, "total_bytes": 6e9, "compile_s": 9.0},
    **{"collectives": [{"kind": "all-reduce", "group": 8, "count": 199, "bytes": 10**8}]},
    "too_large": None,
}
STATE = {"params": 10**8, "optimizer": 2 * 10**8, "other": 10, "batch": 10}


def result(**changed):
    return {
        "config": "dual_stream", "batch": 96, "frames": 10, "state_bytes": STATE,
        "figures": FIGURES | changed,
    }  # fmt: skip


def test_a_plan_has_the_keys_of_the_contract():
    found = plan.summarize_plan(result(), "v5e", (8, 1, 1))
    assert {"chip", "chips", "batch", "bytes_per_chip", "bytes_accessed_per_clip",
            "hbm_bytes_per_clip", "cycles_per_clip", "flops_per_clip", "collectives",
            "padding_waste", "predicted_step_s", "warnings"} <= set(found)  # fmt: skip
    assert {"params", "optimizer", "temp"} <= set(found["bytes_per_chip"])
    assert {"kind", "count", "bytes"} <= set(found["collectives"][0])
    assert found["cycles_per_clip"] == 1e6 and found["hbm_bytes_per_clip"] == 5e8
    assert found["text_cycles_per_clip"] == 0.95e6
    assert found["warnings"] == [] and found["fits"] is True
    json.dumps(found)


def test_policies_of_recomputation_are_rows(monkeypatch):
    figures = {
        "none": {"temp_bytes": 9e9, "cycles": 12e6},
        "all": {"temp_bytes": 2e9, "cycles": 18e6},
    }
    monkeypatch.setattr(plan.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(plan, "_run_child", lambda ask, _: result(**figures[ask["remat"]]))
    found = plan.make_plan("dual_stream", "v5e", "8x1x1", remat=["none", "all"])
    assert [row["policy"] for row in found["remat"]] == ["none", "all"]
    assert [row["temp"] for row in found["remat"]] == [9e9, 2e9]
    assert found["cycles_per_clip"] == found["remat"][0]["cycles_per_clip"] == 1e6
    tables = [part for part in describe_plan(found) if hasattr(part, "columns")]
    assert "remat" in [table.columns[0].header for table in tables]


def test_what_does_not_fit_says_what_to_change():
    large = result(too_large="Used 20.3G of 15.5G hbm")
    found = plan.summarize_plan(large, "v5e", (8, 1, 1)) | {"remat": []}
    assert found["fits"] is False and found["predicted_step_s"] is None
    assert "20.3G of 15.5G" in found["warnings"][0] and "batch_size" in found["warnings"][0]
    text = " ".join(str(part) for part in describe_plan(found))
    assert "20.3G" in text


def test_a_large_state_asks_for_fsdp():
    large = result() | {"state_bytes": STATE | {"optimizer": 9 * 10**9}}
    assert any("1x8x1" in line for line in plan.summarize_plan(large, "v5e", (8, 1, 1))["warnings"])
    assert plan.summarize_plan(large, "v5e", (1, 8, 1))["warnings"] == []


def test_memory_that_is_nearly_full_is_named():
    (line,) = plan.summarize_plan(result(total_bytes=17e9), "v5e", (8, 1, 1))["warnings"]
    assert "99%" in line


@pytest.mark.parametrize("mesh", ["8", "8x1", "0x1x1", "8x1x1x1", "-1x1x1", "8x1x١"])
def test_a_mesh_has_three_sizes(mesh):
    with pytest.raises(UsageError, match="8x1x1"):
        plan.read_mesh(mesh)


def test_without_the_compiler_one_line_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(plan.importlib.util, "find_spec", lambda name: None)
    assert main(["plan", "--config", "dual_stream", "--chip", "v5e", "--mesh", "8x1x1"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install 'dfjax[tpu-compiler]'" in line


@pytest.mark.parametrize(
    "arguments, named",
    [(["--chip", "v7"], "v5e"), (["--chip", "v5e", "--mesh", "9x1x1"], "256"),
     (["--chip", "v4", "--mesh", "1x1x1"], "2 devices per chip")],
)  # fmt: skip
def test_wrong_chips_and_meshes_are_usage_errors(arguments, named, capsys):
    assert main(["plan", "--config", "dual_stream", *arguments]) == 2
    assert named in capsys.readouterr().err


def run_child(monkeypatch, tmp_path, code, report=lambda phase, seconds: None):
    (tmp_path / "stand_in.py").write_text(code)
    monkeypatch.setattr(plan, "MODULE", "stand_in")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return plan._run_child({"chip": "v5e", "mesh": (1, 1, 1)}, report)


def test_the_process_reports_phases_and_a_result(monkeypatch, tmp_path):
    phases = []
    code = """
import json, sys, os, time
request = json.load(sys.stdin)
print("chatter of a library")
print(json.dumps({"phase": "compiling"}), flush=True)
time.sleep(0.5)
print(json.dumps({"result": {"on": os.environ["JAX_PLATFORMS"], "chip": request["chip"]}}))
"""
    found = run_child(monkeypatch, tmp_path, code, lambda phase, seconds: phases.append(phase))
    assert found == {"on": "cpu", "chip": "v5e"} and "compiling" in phases


def test_errors_of_the_process_are_one_line(monkeypatch, tmp_path):
    with pytest.raises(UsageError, match="does not divide"):
        run_child(monkeypatch, tmp_path, 'print(\'{"usage": "16 does not divide"}\')')
    with pytest.raises(RunError, match="out of luck"):
        run_child(monkeypatch, tmp_path, "raise SystemExit('warning\\nout of luck')")


def test_an_interrupt_ends_the_process_that_compiles(tmp_path):
    (tmp_path / "stand_in.py").write_text(
        "import signal, sys, time, os\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"  # as the compiler does in effect
        "sys.stderr.flush(); open(sys.path[0] + '/pid', 'w').write(str(os.getpid()))\n"
        "time.sleep(60)\n"
    )
    code = (
        "from dfjax.bench import plan\nplan.MODULE = 'stand_in'\n"
        "plan._run_child({'chip': 'v5e', 'mesh': (1, 1, 1)}, lambda phase, seconds: None)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stderr=subprocess.PIPE)
    pid = tmp_path / "pid"
    deadline = time.monotonic() + 120
    while not (pid.exists() and pid.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    parent.send_signal(signal.SIGINT)
    assert parent.wait(timeout=120) != 0
    with pytest.raises(ProcessLookupError):
        plan.os.kill(int(pid.read_text()), 0)


def test_the_process_ends_with_its_parent(monkeypatch):
    ended, parents, here = threading.Event(), iter([5, 5, 5]), threading.current_thread()

    def getppid():  # the parent ends while another thread looks
        return 5 if threading.current_thread() is here else next(parents, 1)

    monkeypatch.setattr(child_processes.os, "getppid", getppid)
    monkeypatch.setattr(child_processes.os, "_exit", lambda status: ended.set())
    monkeypatch.setattr(child_processes, "POLL_MS", 1)
    child_processes.end_with_parent(5)
    assert ended.wait(timeout=20)


class Lowered:
    """A program whose compilation is counted."""

    def __init__(self, text, error=None):
        self.text, self.error, self.compiled = text, error, 0

    def as_text(self):
        return self.text

    def compile(self):
        self.compiled += 1
        if self.error:
            raise self.error
        return self


def compile_twice(monkeypatch, tmp_path, program, between=lambda folder: None):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1")
    monkeypatch.setattr(plan_program, "_read", lambda compiled, devices: dict(FIGURES))
    first = plan_program._compile(program, "v5e:2x4*1", 8)
    between(tmp_path / "dfjax" / "plans")
    return first, plan_program._compile(program, "v5e:2x4*1", 8)


def test_a_program_is_compiled_once(monkeypatch, tmp_path, capsys):
    program = Lowered("module")
    first, second = compile_twice(monkeypatch, tmp_path, program)
    assert first == second and program.compiled == 1
    other = Lowered("module, changed")
    plan_program._compile(other, "v5e:2x4*1", 8)
    plan_program._compile(program, "v5e:4x4*1", 8)
    assert (other.compiled, program.compiled) == (1, 2)


@pytest.mark.parametrize("damage", ["", "{", "{}", '{"flops": "many"}'])
def test_a_damaged_entry_of_the_cache_is_made_again(monkeypatch, tmp_path, damage, capsys):
    def between(folder):
        (entry,) = folder.iterdir()
        entry.write_text(damage)

    program = Lowered("module")
    first, second = compile_twice(monkeypatch, tmp_path, program, between)
    assert program.compiled == 2 and first["cycles"] == second["cycles"]


def test_a_program_that_is_too_large_is_a_result(monkeypatch, tmp_path, capsys):
    error = plan_program.jax.errors.JaxRuntimeError(
        "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory space "
        "hbm. Used 20.31G of 15.75G hbm. Exceeded hbm capacity by 4.56G."
    )
    program = Lowered("module", error)
    first, second = compile_twice(monkeypatch, tmp_path, program)
    assert first["too_large"] == "Used 20.31G of 15.75G hbm" and program.compiled == 1
    with pytest.raises(ValueError):
        plan_program._compile(Lowered("other", ValueError()), "v5e:2x4*1", 8)


def traced(program=None, **sizes):
    state = dict.fromkeys(("params", "optimizer", "other", "batch"), 0) | sizes
    return TracedStep(program, 8, 1, state, statistics=6, parameter_bytes=800, gradient_bytes=500)


def test_parameters_that_devices_hold_in_parts_are_gathered():
    whole = plan_program.expect_collectives(traced(params=800), (8, 1, 1))
    assert whole == [Collective("all-reduce", 8, 1, 500), Collective("all-reduce", 8, 6, 0)]
    split = plan_program.expect_collectives(traced(params=200), (2, 2, 2))
    assert split == [*whole, Collective("all-gather", 4, 1, 800)]  # 600 of them arrive
    assert plan_program.expect_collectives(traced(params=800), (1, 1, 1)) == []


def test_operations_of_loops_count_as_often_as_they_run():
    def accumulate(x):
        return jax.lax.scan(lambda c, _: (c @ c, None), x @ x, length=5)[0]

    step = traced(jax.jit(accumulate).trace(jnp.ones((2, 2))), params=800)
    assert plan_program.count_repeated_flops(step) == 4 * 16
    assert plan_program._count(step, (2, 1, 1))["flops"] == 6 * 16 / 2


@pytest.mark.slow
def test_a_plan_for_gpus_is_a_roofline(capsys):
    arguments = ["--config", "meso4:smoke", "--chip", "h100", "--mesh", "1x2x1", "--json"]
    assert main(["plan", *arguments, "--config.train.batch_size=4"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert "before compilation" in found["source"] and found["fits"] is None
    assert 0 < found["hbm_bytes_per_clip"] < found["bytes_accessed_per_clip"]
    assert found["bytes_per_chip"]["params"] > 0 and found["bytes_per_chip"]["temp"] is None
    assert main(["plan", *arguments, "--config.train.batch_size=3"]) == 2
    assert "2 or 4" in capsys.readouterr().err


@pytest.mark.tpu
def test_a_plan_of_the_compiler_is_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    arguments = ["--config", "meso4:smoke", "--chip", "v5e", "--mesh", "8x1x1", "--json"]
    plans = []
    for _ in range(2):
        assert main(["plan", *arguments, "--config.train.batch_size=16"]) == 0
        plans.append(json.loads(capsys.readouterr().out.splitlines()[-1]))
    assert plans[0] == plans[1] and plans[0]["compile_s"] > 0
    assert plans[0]["collectives"][0]["kind"] == "all-reduce"
    assert plans[0]["padding_waste"] > 1 and plans[0]["fits"]
