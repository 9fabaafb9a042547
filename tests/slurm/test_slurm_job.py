"""Tests a job on a real Slurm of one node: two tasks train, are preempted twice, and finish.

Needs Debian's packages slurm-wlm and munge, and root: `python -m pytest -m slurm tests/slurm`.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slurm

CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,batch_sched_delay=0
ReturnToService=2
KillWait=60
SwitchType=switch/none
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=2000
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
TRAIN = "--config=meso4:smoke --config.train.epochs=40 --config.checkpoint.every_steps=2".split()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Starts munged, slurmctld and slurmd in a folder; yields the environment of its commands."""
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "key").write_bytes(os.urandom(128))
    (folder / "key").chmod(0o400)
    host = socket.gethostname().partition(".")[0]
    ports = (free_port(), free_port())
    text = CONFIG.format(host=host, ports=ports, folder=folder, cpus=os.cpu_count())
    (folder / "slurm.conf").write_text(text)
    environ = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
    munged = ["munged", "--foreground", "--force", f"--key-file={folder}/key"]
    munged += [f"--socket={folder}/munge.socket", f"--pid-file={folder}/munged.pid"]
    munged += [f"--seed-file={folder}/munged.seed", f"--log-file={folder}/munged.log"]
    started = []
    try:
        for command in (munged, ["slurmctld", "-D"], ["slurmd", "-D", "-N", host]):
            path = shutil.which(command[0], path=f"{os.environ['PATH']}:/usr/sbin")
            assert path, f"{command[0]}: apt-get install slurm-wlm munge"
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            started.append(subprocess.Popen([path, *command[1:]], env=environ, **quiet))
            if command is munged:
                wait_until(lambda: (folder / "munge.socket").exists(), 20, folder)
        wait_until(lambda: "idle" in call(environ, "sinfo", "-h", "-o", "%T"), 60, folder)
        yield environ
    finally:
        for process in reversed(started):
            process.send_signal(signal.SIGTERM)
        for process in started:
            process.wait(30)


def call(environ, *command):
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    return done.stdout


def wait_until(condition, seconds, *report):
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            logs = [path.read_text()[-3000:] for each in report for path in each.glob("*.log")]
            raise TimeoutError("\n".join(logs))
        time.sleep(0.5)
    return value


def field(environ, job, name):
    found = re.search(rf"\b{name}=(\S+)", call(environ, "scontrol", "show", "job", job))
    return found[1] if found else ""


def logged_steps(workdir):
    path = workdir / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [row["step"] for row in map(json.loads, lines) if row["split"] == "train"]


def test_two_tasks_are_preempted_twice_and_finish(slurm, root, tmp_path):
    workdir = tmp_path / "a run"
    program = tmp_path / "bin/dfjax"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m dfjax "$@"\n')
    program.chmod(0o755)
    environ = slurm | {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(root),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "",  # one device per task
    }
    command = ["sbatch", "--parsable", "--ntasks=2", "--chdir", str(tmp_path)]
    command += [str(root / "launch/slurm.sbatch"), *TRAIN, f"--workdir={workdir}"]
    job = call(environ, *command).strip()
    assert job.isdigit()

    def runs_beyond(step):
        def condition():
            running = field(slurm, job, "JobState") == "RUNNING"
            return running and max(logged_steps(workdir), default=0) > step

        wait_until(condition, 300, tmp_path)
        return max(logged_steps(workdir))

    def runs_again(restarts):
        def condition():
            call(slurm, "scontrol", "update", f"JobId={job}", "StartTime=now")  # not in 2 minutes
            return field(slurm, job, "JobState") == "RUNNING"

        wait_until(lambda: field(slurm, job, "Restarts") == str(restarts), 180, tmp_path)
        time.sleep(5)  # slurmd revokes what is granted in the second of the requeue
        wait_until(condition, 180, tmp_path)

    step = runs_beyond(4)
    call(slurm, "scontrol", "requeue", job)  # as a partition with PreemptMode=REQUEUE does
    runs_again(1)
    step = runs_beyond(step + 2)
    call(slurm, "scancel", "--signal=TERM", job)  # as before the time limit (--signal)
    runs_again(2)
    wait_until(lambda: field(slurm, job, "JobState") == "COMPLETED", 300, tmp_path)
    log = (tmp_path / f"dfjax-{job}.log").read_text()
    print(log)
    assert field(slurm, job, "ExitCode") == "0:0" and field(slurm, job, "NumTasks") == "2"
    assert "preempted after saving; queued again" in log
    steps = logged_steps(workdir)
    assert steps == sorted(set(steps)) and steps[-1] > step
