"""The processes of one run on several hosts: how they find each other, and how they wait.

A run of one process is the normal case: every function here then returns at once, and JAX is not
imported. Of several processes each holds a part of the devices, and all of them call the same
functions in the same order. Process 0 alone writes what a run writes once.
"""

import contextlib
import itertools
import json
import os
import re
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from dfjax.errors import RunError, UsageError, first_line

VARIABLES = (
    ("DFJAX_COORDINATOR", "DFJAX_NUM_PROCESSES", "DFJAX_PROCESS_ID"),
    ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"),
)
"""Variables that name the coordinator, the number of processes and this process: our own, and those
that Kubeflow sets for a TrainJob."""

LIMIT = "DFJAX_JOIN_SECONDS"
"""Variable with the seconds that a process waits for the others at the start."""

JOIN_SECONDS = 300  # hosts of a cluster start minutes apart
NOTICE_SECONDS = 15.0  # after which a waiting process says what it waits for
HEARTBEAT_SECONDS = 30  # without a sign of life, after which a process counts as ended
DAY_MS = 24 * 3600 * 1000  # a barrier has no limit of its own: an ended process breaks it

ENDED = (
    *("heartbeat", "coordination service", "Connection closed by peer", "Connection reset by peer"),
    *("Broken pipe", "Connect timeout", "Connection refused", "UNAVAILABLE", "another task died"),
)
"""Words in the errors of JAX that mean that another process has ended."""

_NUMBERS = itertools.count()  # of keys


class Place(NamedTuple):
    """What a process has to know to find the others.

    Attributes:
        coordinator: HOST:PORT of process 0.
        processes: Number of processes.
        process: Number of this process.
    """

    coordinator: str
    processes: int
    process: int


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


def join_processes() -> None:
    """Joins the processes that the platform started together, before any device is used.

    Without the variables of a platform, or with one process, nothing happens. JAX recognises Slurm,
    Open MPI, TPU pods and Kubernetes jobs; `VARIABLES` name the processes anywhere else.

    Raises:
        UsageError: Variables are missing or invalid.
        RunError: The other processes cannot be reached.
    """
    named, seconds = read_variables(os.environ), _read_limit()
    if named is None and not _may_have_others():
        return
    import jax

    place = named or _find_cluster(seconds)
    if place is None or place.processes == 1 or jax.distributed.is_initialized():
        return
    # Its handler of SIGTERM would replace ours; `Interrupt` agrees on the step to stop at.
    jax.config.update("jax_enable_preemption_service", False)
    failed = (
        f"process {place.process} did not find the {place.processes} processes of the run at "
        f"{place.coordinator} within {seconds} s: are all of them started, with the same address, "
        "which process 0 can open and the others can reach?"
    )
    waiting = f"process {place.process} waits for the others at {place.coordinator}"
    # JAX aborts the process when the time is over, without an exception.
    with _notices({NOTICE_SECONDS: waiting, seconds - 0.5: failed}):
        try:
            jax.distributed.initialize(
                *place,
                # JAX gives each process of Slurm or Open MPI one GPU of its host.
                cluster_detection_method="deactivate" if named or _is_alone() else None,
                initialization_timeout=seconds,
                heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
                shutdown_timeout_seconds=HEARTBEAT_SECONDS,
            )
        except (RuntimeError, ValueError) as error:
            raise RunError(f"{failed} ({first_line(error)[:200]})") from error


def read_variables(environment: Any) -> Place | None:
    """Returns the place that `VARIABLES` name, or None if none of them is set.

    Args:
        environment: Environment variables.

    Raises:
        UsageError: Some of them are missing, or a value is invalid.
    """
    for names in VARIABLES:
        values = [environment.get(name, "") for name in names]
        if not any(values[1:]) and (not values[0] or names is not VARIABLES[0]):
            continue
        missing = [name for name, value in zip(names, values) if not value]
        if missing:
            given = ", ".join(name for name in names if name not in missing)
            raise UsageError(f"{given} is set, but not {', '.join(missing)}: a run needs all three")
        return _parse(names, *values)
    return None


def _parse(names: tuple[str, str, str], address: str, processes: str, process: str) -> Place:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(f"{names[0]}={address} is not HOST:PORT")
    if not processes.isdecimal() or not process.isdecimal() or int(process) >= int(processes):
        raise UsageError(
            f"{names[1]}={processes} {names[2]}={process}: processes are numbered from 0 to their "
            "number - 1"
        )
    return Place(address, int(processes), int(process))


def _may_have_others() -> bool:
    """Returns whether this process may be one of several, before JAX is imported."""
    tasks = ("SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE")
    if any(os.environ.get(name, "1") != "1" for name in tasks):
        return True
    if "TPU_WORKER_HOSTNAMES" in os.environ or "JOB_COMPLETION_INDEX" in os.environ:
        return True  # a TPU slice of GKE, or an indexed job of Kubernetes
    return os.path.exists("/dev/accel0") or os.path.exists("/dev/vfio/0")  # a TPU VM


def _find_cluster(seconds: int) -> Place | None:
    """Returns what JAX finds out about the platform, or None if it does not know it."""
    from jax._src.clusters import ClusterEnv

    port = os.environ.get("JAX_COORDINATOR_PORT")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # in a pod without the package `kubernetes`
        for cluster in ClusterEnv._cluster_types:
            if cluster.opt_in_only_method or not cluster.is_env_present():
                continue
            if (processes := cluster.get_process_count()) > 1:
                return Place(
                    cluster.get_coordinator_address(seconds, port),
                    processes,
                    cluster.get_process_id(),
                )
    return None


def _is_alone() -> bool:
    """Returns whether this process is alone on its host, so that it has all of its devices."""
    per_host = os.environ.get("SLURM_STEP_TASKS_PER_NODE") or "no Slurm"
    one_task = re.fullmatch(r"1(\(x\d+\))?", per_host)
    return bool(one_task) or os.environ.get("OMPI_COMM_WORLD_LOCAL_SIZE") == "1"


def _read_limit() -> int:
    given = os.environ.get(LIMIT, str(JOIN_SECONDS))
    if not given.isdecimal() or not int(given):
        raise UsageError(f"{LIMIT}={given} is not a number of seconds")
    return int(given)


@contextlib.contextmanager
def _notices(lines: Mapping[float, str]) -> Iterator[None]:
    """Prints lines, on every process, after some seconds if the block takes that long.

    Args:
        lines: Lines by the seconds after which they are printed.
    """
    timers = [threading.Timer(seconds, _print, [line]) for seconds, line in lines.items()]
    for timer in timers:
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()


def _print(line: str) -> None:
    print(f"dfjax: {line}", file=sys.stderr, flush=True)


def wait_for_all() -> None:
    """Returns when all processes have called it."""
    if count() > 1:
        _state().client.wait_at_barrier(make_key(), timeout_in_ms=DAY_MS)


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


def publish(key: str, value: str) -> None:
    """Gives the processes of the run a value, which must not be empty; the first one stays."""
    with contextlib.suppress(RuntimeError):  # another process was faster
        _state().client.key_value_set(key, value)


def await_value(key: str) -> str:
    """Returns the value of a key as soon as a process has published it."""
    return str(_state().client.blocking_key_value_get(key, DAY_MS))


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
