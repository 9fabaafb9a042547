"""Runs the tasks of `worker_pool` on Apache Beam, for data sets that need several machines.

Every Beam worker calls the function in a separate process, so that a hanging or crashing decoder
costs only one file. Files are read and written by path. On a cluster, data and output must lie on a
file system that all workers mount.

The stages of the pipeline are `chunks` (numbered tasks, `CHUNK` together), `spread` over the
workers, `run` and `write`. A task that fails does not end it: its error is written like a result,
and the caller lists it in `errors.jsonl`. Beam counts `started`, `done` and `failed` tasks in the
namespace `dfjax` while the pipeline runs, where the runner shows metrics, and they are printed at
the end.
"""

import importlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dfjax.console import say
from dfjax.data.faces.worker_pool import Outcome, run_tasks
from dfjax.errors import UsageError

CHUNK = 16  # tasks per process, which share its start-up time
RESULTS = ".beam"
NAMESPACE = "dfjax"  # of the counters

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
    p = beam.Pipeline(runner, options=pipeline(list(options)))
    (
        p
        | "chunks" >> beam.Create(make_chunks(tasks))
        | "spread" >> beam.Reshuffle()  # otherwise a runner may run all chunks on one worker
        | "run" >> beam.FlatMap(run_counted, function, time_limit)
        | "write" >> beam.io.WriteToText(str(results / "outcomes"))
    )
    result = p.run()
    result.wait_until_finish()
    say(describe_counters(read_counters(result), len(tasks)))
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


def run_counted(
    chunk: list[Numbered], function: Callable[[Any], Any], time_limit: float
) -> list[str]:
    """Returns the lines of `run_chunk`, and counts the tasks in Beam's metrics.

    A chunk that Beam runs again, because its worker was lost, is counted again.
    """
    counter = importlib.import_module("apache_beam.metrics").Metrics.counter
    counter(NAMESPACE, "started").inc(len(chunk))
    lines = run_chunk(chunk, function, time_limit)
    failed = sum(json.loads(line)[2] is not None for line in lines)
    counter(NAMESPACE, "failed").inc(failed)
    counter(NAMESPACE, "done").inc(len(lines) - failed)
    return lines


def read_counters(result: Any) -> dict[str, int]:
    """Returns our counters by name; empty where the runner has no metrics.

    Args:
        result: Result of a pipeline that has finished.
    """
    try:
        counters = result.metrics().query()["counters"]
    except (NotImplementedError, AttributeError):
        return {}
    ours = [each for each in counters if each.key.metric.namespace == NAMESPACE]
    return {each.key.metric.name: each.result for each in ours}


def describe_counters(counters: dict[str, int], tasks: int) -> str:
    """Returns a line with the counters of a pipeline.

    Args:
        counters: Counters by name.
        tasks: Number of tasks.
    """
    names = ("started", "done", "failed")
    counted = ", ".join(f"{counters[name]} {name}" for name in names if name in counters)
    return f"Beam: {tasks} tasks" + (f" ({counted})" if counted else "")


def read_outcomes(results: Path) -> Iterator[Outcome]:
    """Yields the outcomes that the pipeline has written to `results`, in the order of tasks."""
    lines = [line for file in results.iterdir() for line in file.read_text().splitlines()]
    for position, value, error in sorted(map(json.loads, lines), key=lambda item: item[0]):
        yield Outcome(position, value, error)
