"""The tasks of `worker_pool` on Apache Beam instead, for data sets larger than one machine.

Every Beam worker calls the same function in a process of its own, so that a hanging or crashing
decoder costs one file there, too. Files are read and written by path: on a cluster, the data and
the output lie on a file system that all workers mount.
"""

import importlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dfjax.data.faces.worker_pool import Outcome, run_tasks
from dfjax.errors import UsageError

CHUNK = 16  # tasks that share the start of a process
RESULTS = ".beam"

Numbered = tuple[int, Any]


def check_beam(runner: str) -> None:
    """Raises a `UsageError` when Beam is not installed or has no runner of this name."""
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
    """Yields what `run_tasks` would, once the whole pipeline has run.

    Args:
        function: a function of a module (or a partial of one), with results that JSON can hold.
        tasks: its arguments, picklable.
        runner: `DirectRunner`, `FlinkRunner`, `SparkRunner`, `DataflowRunner`, ….
        options: of the runner, as on a command line.
        folder: where results are collected while it runs, seen by all workers.
        time_limit: seconds for one task.
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
            | beam.Reshuffle()  # or a runner may do all of them in one place
            | beam.FlatMap(run_chunk, function, time_limit)
            | beam.io.WriteToText(str(results / "outcomes"))
        )
    yield from read_outcomes(results)
    shutil.rmtree(results)


def make_chunks(tasks: Sequence[Any]) -> list[list[Numbered]]:
    """Returns the numbered tasks in pieces that one worker does together."""
    numbered = list(enumerate(tasks))
    return [numbered[i : i + CHUNK] for i in range(0, len(numbered), CHUNK)]


def run_chunk(
    chunk: list[Numbered], function: Callable[[Any], Any], time_limit: float
) -> list[str]:
    """Returns the outcomes of some tasks as JSON, one line each."""
    positions, tasks = zip(*chunk)
    return [
        json.dumps([positions[place], value, error])
        for place, value, error in run_tasks(function, tasks, workers=1, time_limit=time_limit)
    ]


def read_outcomes(results: Path) -> Iterator[Outcome]:
    """Yields the outcomes that the pipeline left in `results`, in the order of their tasks."""
    lines = [line for file in results.iterdir() for line in file.read_text().splitlines()]
    for position, value, error in sorted(map(json.loads, lines), key=lambda item: item[0]):
        yield Outcome(position, value, error)
