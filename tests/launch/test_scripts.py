"""Tests of the launchers: dry runs, missing variables, and what they do with stand-in programs."""

import os
import re
import subprocess
import sys

import pytest

TPU = {
    "PROJECT": "my project", "ZONE": "z", "TPU": "run1", "ACCELERATOR": "v5litepod-16",
    "RUNTIME": "v2-alpha-tpuv5-lite", "POLL": "0",
}  # fmt: skip
TRAIN = ["--config=hybrid:tiny", "--workdir=/data/a run", "--config.data.path=it's $HOME"]
STAND_IN = """#!/bin/bash
printf '%q ' "${0##*/}" "$@" >> "$LOG"; echo >> "$LOG"
"""


@pytest.fixture
def script(root, tmp_path):
    """Returns a function that runs a launcher with stand-ins on PATH and nothing else set."""

    def run(name, *arguments, **variables):
        environ = {"PATH": f"{tmp_path}:/usr/bin:/bin", "LOG": str(tmp_path / "log")} | variables
        command = ["bash", str(root / "launch" / name), *arguments]
        return subprocess.run(command, env=environ, capture_output=True, text=True, cwd=tmp_path)

    return run


def stand_in(folder, name, lines):
    """Writes a program that logs its arguments and then runs the lines."""
    program = folder / name
    program.write_text(STAND_IN + lines)
    program.chmod(0o755)


def calls(folder):
    return (folder / "log").read_text().splitlines() if (folder / "log").exists() else []


def test_launchers_are_short_and_strict(root):
    scripts = [*root.glob("launch/*.sh"), *root.glob("launch/*.sbatch")]
    assert len(scripts) >= 6
    for path in scripts:
        if path.name == "environment.sh":  # which is sourced
            continue
        text = path.read_text()
        assert len(text.splitlines()) <= 61 and "\nset -euo pipefail\n" in text, path.name


def test_the_demo_of_defaking_prints_its_commands(script):
    done = script("defake_demo.sh", "--dry-run")
    lines = done.stdout.splitlines()
    verbs = [line.split()[1:3] for line in lines if line.startswith("   dfjax ")]
    assert [verb for verb, _ in verbs] == ["data", "data", "train", "evaluate", "harden"]
    assert lines[1].startswith("== 1/6 ") and lines[2].strip() == "bash launch/demo.sh"
    assert sum(line.startswith("== ") for line in lines) == len(verbs) + 1 == 6
    assert script("defake_demo.sh", "--slow").returncode == 2


def test_slurm_dry_run_prints_the_commands(script):
    done = script("slurm.sbatch", "--dry-run", *TRAIN, "--fold={task}/5", SLURM_ARRAY_TASK_ID="3")
    first, second = done.stdout.splitlines()
    assert first.startswith("srun --wait=120 --export=ALL dfjax train --config=hybrid:tiny ")
    assert first.endswith(r"--workdir=/data/a\ run --config.data.path=it\'s\ \$HOME --fold=3/5 ")
    assert second == "on exit code 75: scontrol requeue JOB"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "needs --config=NAME"),
        (["--config=a"], "needs --workdir=DIR"),
        (TRAIN, "no Slurm job: use sbatch, or --dry-run"),
        ([*TRAIN, "--fold={task}/5"], "{task} needs an array job"),
    ],
)
def test_slurm_says_what_is_missing(script, arguments, message):
    done = script("slurm.sbatch", *arguments)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"slurm.sbatch: {message}")


@pytest.mark.parametrize(("status", "requeued"), [(0, False), (75, True), (1, False), (137, False)])
def test_slurm_queues_a_preempted_job_again_and_no_other(script, tmp_path, status, requeued):
    stand_in(tmp_path, "srun", f'echo "preset=$DFJAX_XLA_PRESET" >> "$LOG"; exit {status}\n')
    stand_in(tmp_path, "scontrol", "")
    done = script("slurm.sbatch", *TRAIN, SLURM_JOB_ID="7", SLURM_JOB_GPUS="0,1")
    assert done.returncode == status
    first, preset, *rest = calls(tmp_path)
    assert first.startswith("srun --wait=120") and preset == "preset=gpu"
    assert rest == ["scontrol requeue 7 "] * requeued


def test_tpu_vm_dry_run_prints_the_commands_and_runs_none(script, tmp_path):
    stand_in(tmp_path, "gcloud", "exit 1\n")
    done = script("tpu_vm.sh", "--dry-run", *TRAIN, **TPU, MOUNT="my bucket")
    assert done.returncode == 0 and not calls(tmp_path)
    lines = done.stdout.splitlines()
    verbs = [re.sub(r"gcloud compute tpus |--.*| /tmp.*| run1.*", "", line) for line in lines]
    assert [verb.strip() for verb in verbs] == [
        "queued-resources create", "git archive", "tpu-vm scp", "tpu-vm ssh", "tpu-vm ssh",
        "queued-resources delete",
    ]  # fmt: skip
    assert all(r"--project=my\ project" in line for line in lines if "gcloud" in line)
    assert "--spot" in lines[0] and all("--worker=all" in line for line in lines[2:5])
    assert "--spot" not in script("tpu_vm.sh", "--dry-run", *TRAIN, **TPU, SPOT="no").stdout


@pytest.mark.parametrize("name", [name for name in TPU if name != "POLL"])
def test_tpu_vm_names_the_missing_variable(script, name):
    done = script("tpu_vm.sh", "--dry-run", *TRAIN, **{**TPU, name: ""})
    assert done.returncode == 2 and f"tpu_vm.sh: set {name} " in done.stderr


def test_tpu_vm_needs_a_workdir(script):
    done = script("tpu_vm.sh", "--dry-run", "--config=a", **TPU)
    assert (done.returncode, done.stderr) == (2, "tpu_vm.sh: needs --workdir=DIR\n")


def make_gcloud(folder, *, states, train):
    """Makes a gcloud whose slice has these states, and whose training ends with these statuses."""
    (folder / "states").write_text("\n".join(states) + "\n")
    (folder / "train").write_text("\n".join(train) + "\n")
    lines = f"""
    next() {{ head -n 1 "{folder}/$1"; sed -i 1d "{folder}/$1"; }}
    case "$*" in *describe*) next states ;; *" train "*) exit "$(next train)" ;; esac
    """
    stand_in(folder, "gcloud", lines)
    stand_in(folder, "git", "")


@pytest.mark.parametrize(
    ("states", "train", "tries", "status"),
    [
        (["ACCEPTED", "UNKNOWN", "ACTIVE"], ["0"], 1, 0),
        (["ACTIVE", "ACTIVE", "ACTIVE"], ["75", "0"], 2, 0),  # saved, once more
        (["ACTIVE", "SUSPENDED", "ACTIVE"], ["255", "0"], 2, 0),  # the slice was taken away
        (["SUSPENDED", "SUSPENDED", "ACTIVE"], ["0"], 2, 0),  # before training
        (["ACTIVE", "ACTIVE"], ["2"], 1, 2),  # wrong usage
        (["ACTIVE", "SUSPENDING"] * 3, ["75"] * 3, 3, 75),  # RETRIES
    ],
)
def test_tpu_vm_asks_again_when_the_slice_was_taken_away(
    script, tmp_path, states, train, tries, status
):
    make_gcloud(tmp_path, states=states, train=train)
    done = script("tpu_vm.sh", *TRAIN, **TPU, RETRIES="3")
    assert done.returncode == status, done.stderr
    found = calls(tmp_path)
    for verb in ("create", "delete"):
        assert sum(f"queued-resources {verb}" in line for line in found) == tries, verb


def test_tpu_vm_keeps_a_slice_on_demand(script, tmp_path):
    make_gcloud(tmp_path, states=["ACTIVE"], train=["0"])
    assert script("tpu_vm.sh", *TRAIN, **TPU, KEEP="yes").returncode == 0
    assert not any("delete" in line for line in calls(tmp_path))


def test_the_shell_of_the_workers_gets_the_arguments(script, tmp_path):
    """The command of `ssh` is run by a shell on every worker."""
    stand_in(
        tmp_path,
        "gcloud",
        """
        command=${@: -1}
        python3() { printf '<%s>\\n' "$@" >> "$LOG.arguments"; }
        case "$*" in
          *describe*) echo ACTIVE ;;
          *" train "*) eval "${command#--command=}" ;;
        esac
        """,
    )
    stand_in(tmp_path, "git", "")
    done = script("tpu_vm.sh", *TRAIN, **TPU, HOME="/nowhere")
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "log.arguments").read_text().splitlines()
    assert lines == [f"<{argument}>" for argument in ["-m", "dfjax", "train", *TRAIN]]


def test_the_dockerfile_has_an_image_per_platform(root):
    text = (root / "launch/Dockerfile").read_text()
    targets = dict(re.findall(r"^FROM (\S+) AS (\w+)$", text, re.MULTILINE))
    stages = re.findall(r"^FROM \S+ AS (\w+)$", text, re.MULTILINE)
    assert stages == ["base", "cpu", "gpu", "tpu"] and targets
    copied = " ".join(re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE)).split()
    assert all((root / name).exists() for name in copied)
    extras = re.findall(r"EXTRA=(\w+)|\[(\w+)\]\"", text)
    project = (root / "pyproject.toml").read_text()
    assert {"cuda13", "tpu"} <= {first or second for first, second in extras}
    assert all(f"{first or second} = [" in project for first, second in extras)


def readme_commands(root):
    """Returns the commands of the section on launchers, one per line."""
    text = (root / "README.md").read_text().partition("### Launchers")[2]
    (block,) = re.findall(r"```bash\n(.*?)```", text.partition("\n##")[0], re.DOTALL)
    return [line for line in block.splitlines() if line and not line.startswith("#")]


def test_the_readme_has_a_command_per_platform(root):
    used = " ".join(readme_commands(root))
    files = ("slurm.sbatch", "tpu_vm.sh", "jobset.yaml", "trainjob.yaml", "skypilot.yaml")
    assert all(name in used for name in (*files, "Dockerfile"))


def test_commands_of_the_readme_run_dry(root, tmp_path):
    """Each runs with --dry-run, or prints the manifest, which `kubectl` gets as it stands."""
    stand_in(tmp_path, "kubectl", "cat >> $LOG.manifests\n")
    stand_in(tmp_path, "sky", 'cat "${@: -1}" >> $LOG.manifests\n')
    (tmp_path / "launch").symlink_to(root / "launch")
    environ = {"PATH": f"{tmp_path}:{os.path.dirname(sys.executable)}:/usr/bin:/bin"}
    environ["LOG"] = str(tmp_path / "log")
    for line in readme_commands(root):
        if line.startswith("docker"):
            continue
        line = re.sub(r"^sbatch .*?(?=launch/)", "bash ", line)
        line = re.sub(r"(launch/\S+\.(?:sh|sbatch)) ", r"\1 --dry-run ", line)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line],
            env=environ, cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    manifests = (tmp_path / "log.manifests").read_text()
    assert manifests.count("kind: JobSet") == 2 and "kind: TrainJob" in manifests
    assert "accelerators: H100:8" in manifests
