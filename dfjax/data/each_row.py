"""Calls a function for each row of an index, in threads of this process or on Beam."""

import functools
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from dfjax.console import track
from dfjax.data.beam_pipeline import CHUNK, Beam, Stage, in_process, run_on_beam
from dfjax.errors import InputError
from dfjax.files import read_bytes

TIME_LIMIT = 1800.0  # seconds per task on Beam

Task = dict[str, Any]
"""The fields of a row that a function needs, with `video_id`; or what the function returns, with
`reasons`: pairs of a part that cannot be used, such as the name of a file, and why. The part is ""
for the whole row."""


class Row:
    """A row of an index as `DataFrame.itertuples` gives it, made from the fields of a task."""

    def __init__(self, task: Task) -> None:
        """Sets the attributes."""
        vars(self).update(task)


@runtime_checkable
class RunEach(Protocol):
    """A function that calls another one for each task."""

    def __call__(
        self,
        stage: str,
        function: Callable[[Task], Task],
        tasks: Sequence[Task],
        *,
        chunk: int = CHUNK,
    ) -> list[Task]:
        """Returns the results in the order of tasks.

        Args:
            stage: Name of the work.
            function: Function of a module, or a partial of one.
            tasks: Its arguments, with values that JSON can represent.
            chunk: Number of tasks that one worker is given.
        """
        ...


def choose_run(beam: Beam | None) -> RunEach:
    """Returns the function that calls others on Beam, or in threads without it."""
    return run_in_threads if beam is None else functools.partial(run_each_on_beam, beam)


def run_in_threads(
    stage: str, function: Callable[[Task], Task], tasks: Sequence[Task], *, chunk: int = CHUNK
) -> list[Task]:
    """Calls a function for each task in threads; see `RunEach`."""
    del chunk
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(track(threads.map(function, tasks), total=len(tasks), what=stage))


def run_each_on_beam(
    beam: Beam,
    stage: str,
    function: Callable[[Task], Task],
    tasks: Sequence[Task],
    *,
    chunk: int = CHUNK,
) -> list[Task]:
    """Calls a function for each task on Beam; see `RunEach`.

    The result of a task whose process dies or takes too long has nothing but `reasons`.
    """
    work = Stage(stage, in_process(function, TIME_LIMIT), list_reasons)
    names = [task["video_id"] for task in tasks]
    return [
        {"reasons": [("", outcome.error)]} if outcome.error else outcome.value
        for outcome in run_on_beam(beam, [work], tasks, names, chunk=chunk)
    ]


def list_reasons(name: str, result: Task) -> list[tuple[str, str]]:
    """Returns the names of the parts of a row that cannot be used, and why."""
    return [(f"{name}/{part}" if part else name, why) for part, why in result["reasons"]]


def describe_reasons(result: Task) -> list[str]:
    """Returns a line for each part of a row that cannot be used."""
    return [f"{part}: {reason}" if part else reason for part, reason in result["reasons"]]


def check_files(
    frames: Iterable[int], find_path: Callable[[int], Path], check: Callable[[bytes], None]
) -> Task:
    """Returns the frames whose files can be used (`good`), and the others with their `reasons`.

    Args:
        frames: Source frame numbers.
        find_path: Function that returns the path of the file of a frame.
        check: Function of the content of a file, which raises an InputError if it is unusable.
    """
    good, reasons = [], []
    for frame in frames:
        path = find_path(frame)
        try:
            check(read_bytes(path))
            good.append(frame)
        except OSError as error:
            reasons.append((path.name, str(error.strerror)))
        except InputError as error:
            reasons.append((path.name, str(error)))
    return {"good": good, "reasons": reasons}
