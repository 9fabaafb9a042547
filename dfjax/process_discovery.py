"""Joins the processes of one run, which a platform started together on several hosts."""

import contextlib
import os
import re
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
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
