"""The pipeline of Apache Beam that divides work over machines, one for all commands that use Beam.

`data extract`, `data pack`, `data features` and `predict` all run this, each with stages of its
own:

    items → read → stage → … → outcomes
                     ↓ (reasons)
                dead letters

- The items, one per video, input or shard, are written to a file in the folder `.OUT.beam`. The
  pipeline begins with the places of chunks of items in this file, which `spread` gives to the
  workers and `read` reads.
- A stage is a function of the values of a chunk. What it returns goes to the next stage, and that
  of the last one is written as an outcome. The stages of a command are:

  | command | stages | an item is |
  |---|---|---|
  | `data extract` | `extract` | a video |
  | `data pack` | `check`, `flow` (with optical flow), `write`, each a pipeline | a video; a shard |
  | `data features` | `features` | a shard of videos |
  | `predict` | `read_faces`, `score` | a video or image |

- An item that fails leaves the pipeline at its stage and does not end it. So does one that took too
  long or whose process died, where a stage calls its function in another process (`in_process`).
  Failed items, and failed parts of items, are listed in `OUT.dead_letters.jsonl`, one JSON object
  `{"item", "stage", "error"}` a line. The errors of the command (`errors.jsonl`, verdicts) are the
  same as without Beam.
- Beam counts `started`, `done` and `failed` items of every stage, and `failed_parts`, in the
  namespace `dfjax` under the name `STAGE.COUNT`; they are printed at the end too. A chunk that Beam
  repeats, because its worker was lost, is counted again. What stages write can be written twice.

Files are read and written by path. On a cluster, data and output must lie on a file system that all
workers mount, where dfjax is installed.
"""

import dataclasses
import functools
import importlib
import json
import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dfjax import processes
from dfjax.console import say
from dfjax.data.beam_counters import count, describe_counters, read_counters
from dfjax.data.faces.worker_pool import Outcome, run_tasks
from dfjax.errors import InputError, UsageError
from dfjax.outputs import check_outputs

CHUNK = 16  # items per chunk, which share the start-up time of a process
NEXT, DEAD, OUT = "next", "dead", "out"  # tags of the outputs of a stage

Work = Callable[[Sequence[Any]], Iterable[Outcome]]
"""`work(values)` yields an outcome per value, in any order. The value of an outcome with an error
is passed to the caller in place of those of later stages."""

Item = tuple[int, str, Any]
"""Number, name and value of an item."""


def find_no_parts(name: str, value: Any) -> Iterable[tuple[str, str]]:
    """Returns no parts: an item fails as a whole or not at all."""
    del name, value
    return ()


class Stage(NamedTuple):
    """A stage of a pipeline.

    Attributes:
        name: Name, for counters and dead letters.
        work: Function of the values of a chunk; it has to be picklable.
        find_parts: Function of an item's name and value that returns the names of its parts that
            failed, with the reasons. The item goes on.
    """

    name: str
    work: Work
    find_parts: Callable[[str, Any], Iterable[tuple[str, str]]] = find_no_parts


@dataclasses.dataclass(frozen=True)
class Beam:
    """Where a pipeline runs, and where it writes.

    Attributes:
        runner: Runner: `DirectRunner`, `FlinkRunner`, `SparkRunner`, `DataflowRunner`, ….
        options: Options of the runner, as on a command line.
        out: Folder that the command writes.
    """

    runner: str
    options: tuple[str, ...]
    out: Path

    @property
    def folder(self) -> Path:
        """Folder of intermediate results, which all workers can access."""
        return self.out.with_name(f".{self.out.name}.beam")

    @property
    def dead_letters(self) -> Path:
        """File of the dead letters, which exists if there are any."""
        return self.out.with_name(f"{self.out.name}.dead_letters.jsonl")

    def clear(self) -> None:
        """Removes the dead letters of an earlier call; pipelines append theirs."""
        self.dead_letters.unlink(missing_ok=True)


def make_beam(out: Path | None, runner: str | None, options: str = "") -> Beam | None:
    """Returns where a pipeline runs, or None without a runner.

    Args:
        out: Folder that the command writes.
        runner: Name of the runner, or None.
        options: Options of the runner, as on a command line.

    Raises:
        UsageError: Beam is not installed or has no runner of this name, there are options without a
            runner or there is no `out`, the run has several processes, or the file of dead letters
            is one of the user's.
    """
    if runner is None:
        if options:
            raise UsageError("beam_options needs beam_runner")
        return None
    if out is None:
        raise UsageError("beam_runner needs out, a folder that all workers can write")
    if processes.count() > 1:
        raise UsageError("beam_runner divides the work itself: start one process")
    try:
        importlib.import_module("apache_beam").runners.create_runner(runner)
    except ImportError as error:
        raise UsageError(
            f"Apache Beam needs its extra: pip install 'dfjax[beam]' ({error})"
        ) from error
    except (ValueError, AttributeError) as error:
        raise UsageError(f"Apache Beam has no runner {runner!r}: {error}") from error
    beam = Beam(runner, tuple(shlex.split(options)), out.absolute())
    check_outputs([beam.dead_letters])
    return beam


def in_process(function: Callable[[Any], Any], time_limit: float) -> Work:
    """Returns the work that calls a function in another process, which may hang or crash.

    Args:
        function: Function of a module, or a partial of one. An `InputError` is the item's error.
        time_limit: Seconds per item.
    """
    return functools.partial(run_tasks, function, workers=1, time_limit=time_limit)


def in_worker(function: Callable[[Any], Any]) -> Work:
    """Returns the work that calls a function in Beam's worker itself; see `in_process`."""
    return functools.partial(_call_each, function)


def _call_each(function: Callable[[Any], Any], values: Sequence[Any]) -> Iterator[Outcome]:
    for position, value in enumerate(values):
        try:
            yield Outcome(position, function(value), None)
        except InputError as error:
            yield Outcome(position, None, str(error))


def run_on_beam(
    beam: Beam,
    stages: Sequence[Stage],
    items: Sequence[Any],
    names: Sequence[str],
    *,
    chunk: int = CHUNK,
) -> Iterator[Outcome]:
    """Yields an outcome per item, in the order of items, after the whole pipeline has run.

    Args:
        beam: Where the pipeline runs and writes.
        stages: Stages of the pipeline, at least one.
        items: Values of the items, which JSON can represent, as it can what the last stage returns.
        names: Names of the items, for dead letters.
        chunk: Number of items per chunk.
    """
    if not items:
        return
    shutil.rmtree(beam.folder, ignore_errors=True)
    beam.folder.mkdir(parents=True)
    places = write_items(beam.folder / "items.jsonl", items, names, chunk)
    result = _build(beam, stages, places).run()
    result.wait_until_finish()
    for line in describe_counters(read_counters(result), ["read", *(s.name for s in stages)]):
        say(line)
    dead = [entry for _, entry in read_lines(beam.folder, DEAD)]
    if dead:
        with beam.dead_letters.open("a", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(entry)}\n" for entry in dead)
        say(f"Beam: {len(dead)} dead letters in {beam.dead_letters}")
    for position, (value, error) in read_lines(beam.folder, OUT):
        yield Outcome(position, value, error)
    shutil.rmtree(beam.folder)


def _build(beam: Beam, stages: Sequence[Stage], places: Sequence[tuple[str, int]]) -> Any:
    """Returns the pipeline."""
    module = importlib.import_module("apache_beam")
    options = importlib.import_module("apache_beam.options.pipeline_options").PipelineOptions
    pipeline = module.Pipeline(beam.runner, options=options(list(beam.options)))
    chunks = (
        pipeline
        | "places" >> module.Create(places)
        | "spread" >> module.Reshuffle()  # else a runner may run all of them on one worker
        | "read" >> module.Map(read_items)
    )
    dead, out = [], []
    for stage in stages:
        made = chunks | stage.name >> module.FlatMap(run_stage, stage).with_outputs(
            DEAD, OUT, main=NEXT
        )
        chunks = made[NEXT]
        dead.append(made[DEAD])
        out.append(made[OUT])
    out.append(chunks | "outcomes" >> module.FlatMap(write_outcomes))
    for name, lines in ((DEAD, dead), (OUT, out)):
        joined = lines | f"join {name}" >> module.Flatten()
        joined | f"write {name}" >> module.io.WriteToText(str(beam.folder / name))
    return pipeline


def write_items(
    path: Path, items: Sequence[Any], names: Sequence[str], chunk: int
) -> list[tuple[str, int]]:
    """Writes items as JSON, a chunk a line, and returns the file and place of each line."""
    numbered = [list(item) for item in zip(range(len(items)), names, items)]
    places = []
    with path.open("wb") as file:
        for first in range(0, len(numbered), chunk):
            places.append((str(path), file.tell()))
            line = json.dumps(numbered[first : first + chunk], default=lambda value: value.tolist())
            file.write(line.encode() + b"\n")
    return places


def read_items(place: tuple[str, int]) -> list[Item]:
    """Returns the chunk of items at a place, and counts them."""
    path, start = place
    with open(path, "rb") as file:
        file.seek(start)
        chunk = [(number, name, value) for number, name, value in json.loads(file.readline())]
    count("read", started=len(chunk), done=len(chunk))
    return chunk


def run_stage(chunk: list[Item], stage: Stage) -> Iterator[Any]:
    """Yields the chunk for the next stage, dead letters, and the outcomes of items that failed."""
    tagged = importlib.import_module("apache_beam").pvalue.TaggedOutput
    following, failed, failed_parts = [], 0, 0
    for position, value, error in stage.work([value for _, _, value in chunk]):
        number, name, _ = chunk[position]
        if error is None:
            following.append((number, name, value))
        else:
            failed += 1
            yield tagged(OUT, json.dumps([number, [value, error]]))
            yield tagged(DEAD, _write_letter(number, name, stage.name, error))
            continue
        for part, reason in stage.find_parts(name, value):
            failed_parts += 1
            yield tagged(DEAD, _write_letter(number, part, stage.name, reason))
    count(
        stage.name, started=len(chunk), done=len(following), failed=failed,
        failed_parts=failed_parts,
    )  # fmt: skip
    if following:
        yield sorted(following, key=lambda item: item[0])


def _write_letter(number: int, item: str, stage: str, error: str) -> str:
    return json.dumps([number, {"item": item, "stage": stage, "error": error}])


def write_outcomes(chunk: list[Item]) -> list[str]:
    """Returns the values of a chunk as lines of JSON."""
    return [json.dumps([number, [value, None]]) for number, _, value in chunk]


def read_lines(folder: Path, name: str) -> Iterator[tuple[int, Any]]:
    """Yields number and content of the lines that the pipeline has written, by number."""
    files = sorted(folder.glob(f"{name}-*"))
    lines = [line for file in files for line in file.read_text().splitlines()]
    yield from sorted(map(json.loads, lines), key=lambda line: line[0])
