"""Runs the tasks of `worker_pool` on Apache Beam, for data sets that need several machines.

Every Beam worker calls the function in a separate process, so that a hanging or crashing decoder
costs only one file. Files are read and written by path. On a cluster, data and output must lie on a
file system that all workers mount.
"""

import importlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dfjax.data.faces.worker_pool import Outcome, run_tasks
from dfjax.errors import UsageError

CHUNK = 16  # tasks per process, which share its start-up time
RESULTS = ".beam"

Numbered = tuple[int, Any]


def check_beam(runner: str) -> None:
    """Checks that Beam is installed and has this runner.

    Raises:
        UsageError: Beam is not installed or has no runner of this name.
    """
    try:
        importlib.import_module("apache_beam").runners.create_runner(runner)
    except ImportError as error:
        raise UsageError(
            f"Apache Beam needs its extra: pip install 'dfjax[beam]' ({error})"
        ) from error
    except (ValueError, AttributeError) as error:
        raise UsageError(f"Apache Beam has no runner {runner!r}: {error}") from error


def run_on_beam(
    function: Callable[[Any], Any],
    tasks: Sequence[Any],
    *,
    runner: str,
    options: Sequence[str],
    folder: Path,
    time_limit: float,
) -> Iterator[Outcome]:
    """Yields the same outcomes as `run_tasks`, after the whole pipeline has run.

    Args:
        function: Function of a module (or a partial of one) whose results can be written as JSON.
        tasks: Picklable arguments of the function, one per task.
        runner: Runner: `DirectRunner`, `FlinkRunner`, `SparkRunner`, `DataflowRunner`, ….
        options: Options of the runner, as on a command line.
        folder: Folder for intermediate results, which all workers can access.
        time_limit: Seconds per task.
    """
    if not tasks:
        return
    beam = importlib.import_module("apache_beam")
    pipeline = importlib.import_module("apache_beam.options.pipeline_options").PipelineOptions
    results = folder / RESULTS
    shutil.rmtree(results, ignore_errors=True)
    with beam.Pipeline(runner, options=pipeline(list(options))) as p:
        (
            p
            | beam.Create(make_chunks(tasks))
            | beam.Reshuffle()  # otherwise a runner may run all chunks on one worker
            | beam.FlatMap(run_chunk, function, time_limit)
            | beam.io.WriteToText(str(results / "outcomes"))
        )
    yield from read_outcomes(results)
    shutil.rmtree(results)


def make_chunks(tasks: Sequence[Any]) -> list[list[Numbered]]:
    """Returns the numbered tasks in chunks, each of which one worker runs."""
    numbered = list(enumerate(tasks))
    return [numbered[i : i + CHUNK] for i in range(0, len(numbered), CHUNK)]


def run_chunk(
    chunk: list[Numbered], function: Callable[[Any], Any], time_limit: float
) -> list[str]:
    """Returns the outcomes of a chunk of tasks as lines of JSON."""
    positions, tasks = zip(*chunk)
    return [
        json.dumps([positions[place], value, error])
        for place, value, error in run_tasks(function, tasks, workers=1, time_limit=time_limit)
    ]


def read_outcomes(results: Path) -> Iterator[Outcome]:
    """Yields the outcomes that the pipeline has written to `results`, in the order of tasks."""
    lines = [line for file in results.iterdir() for line in file.read_text().splitlines()]
    for position, value, error in sorted(map(json.loads, lines), key=lambda item: item[0]):
        yield Outcome(position, value, error)
