"""Measures all workloads, each in a process of its own, so that none has the memory of another."""

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dfjax.bench import augmentation, faces, generator_step, reading, verdicts
from dfjax.bench.other_load import OtherLoad
from dfjax.bench.peers import SCRIPT
from dfjax.bench.workloads import PEERS
from dfjax.console import say

ALL = "all"
PEER = "torch"

BATCHES = {
    "b0": 16,
    "b4": 4,
    "convlstm": 2,
    "dual_stream": 1,
    "two_stream": 1,
    "transformer_head": 16,
    "unet": 2,
    generator_step.WORKLOAD: 1,
}
"""Batch size of each workload that is measured in inference and in training."""

STDERR = 2  # its number: `sys.stderr` of a notebook has none

PROGRAM = """
import sys
sys.path[:] = {path!r}
from dfjax.child_processes import end_with_parent
end_with_parent({parent})
from dfjax.bench.measure import serve
serve(*sys.argv[1:])
"""


def measure_all(
    shared: Mapping[str, Any],
    *,
    clips: int,
    compare: str | None,
    videos: Sequence[str],
    detector: str | None,
) -> Iterator[dict[str, Any]]:
    """Yields the rows of every workload; one that cannot be measured has its `error` in its place.

    A given detector has its own sizes, so that those of `shared` are for the other workloads.
    `other_cores` of a row is the mean number of cores that other programs used meanwhile.

    Args:
        shared: Arguments of `measure` for all workloads.
        clips: Number of clips over which `input` measures memory.
        compare: Peer of the workloads that have one; None is PyTorch where it can run.
        videos: Videos, images and folders of them for `faces` and `predict`; none for drawn videos.
        detector: Detector of `predict`; see `measure_predict`.

    Raises:
        UsageError: There is no such video or detector; nothing has been measured then.
    """
    verdicts.check_inputs(videos, detector)
    missing = "" if compare else find_missing()
    if missing:
        say(f"note: no ratios to PyTorch: {missing}")
    runs = list(list_runs(clips, None if missing else PEER, videos, detector))
    for number, run in enumerate(runs, 1):
        say(f"{number}/{len(runs)} {name_run(run)}")
        more = {"uncompared": missing} if missing and run["workload"] in PEERS else {}
        meter = OtherLoad()
        own = verdicts.OF_DETECTOR if run.get("detector") else ()
        rows = _run_alone({key: x for key, x in shared.items() if key not in own} | run)
        for row in rows:
            yield row | more | {"other_cores": meter.cores()}


def find_missing() -> str:
    """Returns why the PyTorch peers cannot run and what to install, or an empty text."""
    if importlib.util.find_spec("torch") is None:
        return "PyTorch is not installed; `pip install 'dfjax[parity]'` installs it"
    if not SCRIPT.is_file():
        return "its programs are in a checkout of the repository only (tests/peers)"
    return ""


def name_run(run: Mapping[str, Any]) -> str:
    """Returns the workload of a run or of a row, and its mode, where it has one."""
    return " ".join(filter(None, (run["workload"], run.get("mode"))))


def find_unreached(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Returns the names of the runs that have no row, because the measurement was interrupted.

    Args:
        rows: Rows of `measure_all`.
    """
    names = {name_run(row) for row in rows} | {row["workload"] for row in rows}
    return [name for name in map(name_run, list_runs(0, None, (), None)) if name not in names]


def list_runs(
    clips: int, peer: str | None, videos: Sequence[str], detector: str | None
) -> Iterator[dict[str, Any]]:
    """Yields the arguments of `measure` by which the workloads differ; see `measure_all`."""
    for workload, batch in BATCHES.items():
        for mode in ("infer", "train"):
            run = {"workload": workload, "mode": mode, "batch": batch}
            yield run | ({"compare": peer} if workload in PEERS else {})
    yield {"workload": augmentation.WORKLOAD, "batch": 1}
    yield {"workload": reading.WORKLOAD, "clips": clips}
    shared = [str(Path(video).absolute()) for video in videos]
    yield {"workload": faces.WORKLOAD, "videos": shared, "size": None}
    yield {"workload": verdicts.WORKLOAD, "videos": shared, "detector": detector}


def _run_alone(run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the rows of a workload, measured in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="dfjax-bench-") as folder:
        answer = Path(folder, "rows.json")
        program = PROGRAM.format(path=sys.path, parent=os.getpid())
        command = [sys.executable, "-c", program, json.dumps(run), str(answer)]
        places = os.environ | {"TMPDIR": folder}  # what is left by a killed process is removed
        # A session of its own: an interrupt ends this process, which ends the others.
        process = subprocess.Popen(command, stdout=STDERR, start_new_session=True, env=places)
        try:
            code = process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        rows = json.loads(answer.read_text()) if answer.is_file() else {}
    if isinstance(rows, list) and rows:
        return rows
    error = "it gave no figures"
    if isinstance(rows, dict):
        error = rows.get("error", f"its process ended with exit code {code}")
    return [{"workload": run["workload"], "mode": run.get("mode"), "error": error}]
