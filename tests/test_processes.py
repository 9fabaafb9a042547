"""Tests how a process finds the others of its run, and `launch/local.sh`."""

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from dfjax import process_discovery, processes
from dfjax.errors import UsageError

ROOT = Path(__file__).resolve().parent.parent


def test_one_process_is_the_first_and_waits_for_nobody():
    assert (processes.index(), processes.count(), processes.is_first()) == (0, 1, True)
    processes.wait_for_all()
    process_discovery.join_processes()
    assert processes.explain(RuntimeError("Connection closed by peer")) is None


class Client:
    """A client of the coordination service, whose calls fail with an error."""

    def __init__(self, error):
        self.error = error

    def key_value_set(self, key, value):
        raise RuntimeError(self.error)


def test_only_a_value_that_is_already_there_may_fail_to_be_published(monkeypatch):
    """Other processes would wait for a day for a verdict that got lost."""
    client = Client("ALREADY_EXISTS: Config key k already exists.")
    monkeypatch.setattr(processes, "_state", lambda: types.SimpleNamespace(client=client))
    processes.publish("k", "value")
    client.error = "RESOURCE_EXHAUSTED: Sent message larger than max"
    with pytest.raises(RuntimeError, match="larger than max"):
        processes.publish("k", "value")


def test_variables_name_the_processes():
    ours = {
        "DFJAX_COORDINATOR": "host:1234", "DFJAX_NUM_PROCESSES": "4", "DFJAX_PROCESS_ID": "3",
    }  # fmt: skip
    assert process_discovery.read_variables({}) is None
    assert process_discovery.read_variables(ours) == ("host:1234", 4, 3)
    kubeflow = {key.replace("DFJAX", "JAX"): value for key, value in ours.items()}
    kubeflow["JAX_COORDINATOR_ADDRESS"] = kubeflow.pop("JAX_COORDINATOR")
    assert process_discovery.read_variables(kubeflow) == ("host:1234", 4, 3)
    # JAX itself reads this one beside the variables of Slurm.
    assert process_discovery.read_variables({"JAX_COORDINATOR_ADDRESS": "host:1"}) is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"DFJAX_PROCESS_ID": ""}, "is set, but not DFJAX_PROCESS_ID"),
        ({"DFJAX_COORDINATOR": ""}, "is set, but not DFJAX_COORDINATOR"),
        ({"DFJAX_COORDINATOR": "host"}, "DFJAX_COORDINATOR=host is not HOST:PORT"),
        ({"DFJAX_PROCESS_ID": "2"}, "numbered from 0"),
        ({"DFJAX_NUM_PROCESSES": "two"}, "numbered from 0"),
    ],
)
def test_incomplete_or_wrong_variables_are_named(changed, message):
    ours = {"DFJAX_COORDINATOR": "h:1", "DFJAX_NUM_PROCESSES": "2", "DFJAX_PROCESS_ID": "1"}
    with pytest.raises(UsageError, match=message):
        process_discovery.read_variables(ours | changed)


def launch(*arguments, **variables):
    command = ["bash", str(ROOT / "launch/local.sh"), *arguments]
    return subprocess.run(
        command, env=os.environ | variables, capture_output=True, text=True, timeout=60
    )


def test_the_launcher_prints_what_it_would_run_and_names_what_it_needs():
    done = launch("--dry-run", "evaluate", PROCESSES="2", DEVICES="4", PORT="9")
    lines = done.stdout.splitlines()
    assert [f"DFJAX_PROCESS_ID={i}" in line for i, line in enumerate(lines)] == [True, True]
    assert all("DFJAX_COORDINATOR=127.0.0.1:9" in line and "count=4" in line for line in lines)
    assert "DEVICES" in launch("train", PROCESSES="2").stderr
    assert launch(PROCESSES="2", DEVICES="4").returncode == 2


def test_the_launcher_stops_the_others_and_returns_the_code_of_the_first_error(tmp_path):
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nif [ $DFJAX_PROCESS_ID = 1 ]; then exit 7; fi\nexec sleep 50\n")
    program.chmod(0o755)
    done = launch("train", PROCESSES="2", DEVICES="1", PYTHON=str(program), GRACE="0")
    assert done.returncode == 7


def test_a_process_whose_coordinator_is_missing_says_so():
    variables = {
        "DFJAX_COORDINATOR": "127.0.0.1:1", "DFJAX_NUM_PROCESSES": "2", "DFJAX_PROCESS_ID": "1",
        "DFJAX_JOIN_SECONDS": "1",
    }  # fmt: skip
    command = [sys.executable, "-m", "dfjax", "evaluate", "--workdir", "x"]
    done = subprocess.run(
        command, env=os.environ | variables, capture_output=True, text=True, timeout=60
    )
    assert done.returncode not in (0, 75)
    assert "did not find the 2 processes of the run at 127.0.0.1:1 within 1 s" in done.stderr
