"""The processes of one run on several hosts: how they wait for each other and share a batch.

A run of one process is the normal case: the functions here then return at once, and JAX is not
imported. Of several processes, which `process_discovery` joins, each holds a part of the devices,
and all of them call the same functions in the same order. Process 0 alone writes what a run writes
once.
"""

import contextlib
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from dfjax.errors import RunError, UsageError, first_line

DAY_MS = 24 * 3600 * 1000  # a barrier has no limit of its own: an ended process breaks it

ENDED = (
    *("heartbeat", "coordination service", "Connection closed by peer", "Connection reset by peer"),
    *("Broken pipe", "Connect timeout", "Connection refused", "UNAVAILABLE", "another task died"),
)
"""Words in the errors of JAX that mean that another process has ended."""

_NUMBERS = itertools.count()  # of keys


def index() -> int:
    """Returns the number of this process, from 0."""
    return _state().process_id if _state() else 0


def count() -> int:
    """Returns the number of processes of the run."""
    return _state().num_processes if _state() else 1


def is_first() -> bool:
    """Returns whether this is process 0, which alone writes what a run writes once."""
    return index() == 0


def _state() -> Any:
    """Returns the state of JAX's distributed runtime; None where JAX is not even imported."""
    module = sys.modules.get("jax._src.distributed")
    return getattr(module, "global_state", None)


def wait_for_all() -> None:
    """Returns when all processes have called it."""
    if count() > 1:
        _state().client.wait_at_barrier(make_key(), timeout_in_ms=DAY_MS)


def compile_together(step: Any) -> Any:
    """Returns a jitted function whose first call waits until all processes have compiled it.

    A process that finds the program in its cache would wait for the others in the first sum over
    the devices, which gives up after 30 seconds on a CPU. JAX compiles once for both calls below.

    Args:
        step: Jitted function; one process gets it back as it is.
    """
    if count() == 1:
        return step
    compiled: list[Any] = []

    def run(*arguments: Any) -> Any:
        if not compiled:
            compiled.append(step.lower(*arguments).compile())
            wait_for_all()
        return step(*arguments)

    return run


def make_key() -> str:
    """Returns a new key, the same in all processes, as they call this equally often."""
    return f"dfjax-{next(_NUMBERS)}"


@contextlib.contextmanager
def first_alone() -> Iterator[None]:
    """Runs the block in process 0, and in the others after it: what it writes, they find.

    Raises:
        UsageError: Process 0 raised one.
        RunError: Process 0 raised another error.
    """
    if count() == 1:
        yield
        return
    key = make_key()
    if not is_first():
        failed, message = json.loads(await_value(key))
        if failed:
            raise {"UsageError": UsageError}.get(failed, RunError)(message)
        yield
        return
    try:
        yield
    except BaseException as error:
        usage = "UsageError" if isinstance(error, UsageError) else "RunError"
        publish(key, json.dumps([usage, first_line(error)]))
        raise
    publish(key, json.dumps(["", ""]))


@contextlib.contextmanager
def held_by_first(resource: contextlib.AbstractContextManager[Any]) -> Iterator[None]:
    """Holds something in process 0, such as a lock, for all processes of its run.

    Args:
        resource: Context that process 0 enters. The others raise the error that it raises.
    """
    with contextlib.ExitStack() as stack:
        with first_alone():
            if is_first():
                stack.enter_context(resource)
        yield


def publish(key: str, value: str) -> None:
    """Gives the processes of the run a value, which must not be empty; the first one stays."""
    try:
        _state().client.key_value_set(key, value)
    except RuntimeError as error:
        if "ALREADY_EXISTS" not in str(error):  # else another process was faster
            raise


def await_value(key: str) -> str:
    """Returns the value of a key as soon as a process has published it."""
    return str(_state().client.blocking_key_value_get(key, DAY_MS))


def find_value(key: str) -> str | None:
    """Returns the value of a key, or None if no process has published it."""
    try:
        return str(_state().client.key_value_try_get(key))
    except RuntimeError:  # also if process 0 has ended, which the next collective notices
        return None


def find_largest(key: str, value: int) -> int:
    """Returns the largest value that a process of the run passes, of which all call this."""
    publish(f"{key}/{index()}", str(value))
    if is_first():
        values = [int(await_value(f"{key}/{process}")) for process in range(count())]
        publish(f"{key}/largest", str(max(values)))
    return int(await_value(f"{key}/largest"))


def local_places(sharding: Any, clips: int) -> Sequence[int]:
    """Returns the numbers of the clips of a batch that are on devices of this process.

    Args:
        sharding: Sharding of the batch; the order of its devices need not be that of processes.
        clips: Number of clips of the batch over all processes.
    """
    parts = sharding.addressable_devices_indices_map((clips,)).values()
    return sorted({place for (part,) in parts for place in range(clips)[part]})


def make_global(values: Any, sharding: Any) -> Any:
    """Returns the global array of a batch, of which every process passes its own clips.

    Args:
        values: Values of the clips `local_places` of this process, in their order.
        sharding: Sharding of the batch.
    """
    import jax

    clips = len(values) * sharding.num_devices // len(sharding.addressable_devices)
    row_of = {place: row for row, place in enumerate(local_places(sharding, clips))}

    def select(part: Any) -> Any:
        rows = [row_of[place] for place in range(clips)[part[0]]]
        return values[rows[0] : rows[-1] + 1]

    return jax.make_array_from_callback((clips, *values.shape[1:]), sharding, select)


def explain(error: BaseException) -> str | None:
    """Returns why an error of JAX ends this process if another process has ended, or None."""
    if count() == 1 or not any(words in str(error) for words in ENDED):
        return None
    return (
        f"process {index()} of {count()} stops, because another process of the run has ended; its "
        f"own messages say why. Start all processes again to resume ({first_line(error)[:200]})"
    )
