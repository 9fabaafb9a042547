"""Measures a workload by its name: speed, reading, augmentation or face detectors."""

from collections.abc import Iterator, Sequence
from typing import Any

from dfjax.bench import augmentation, faces, generator_step, reading, speed
from dfjax.bench.rows import describe_row
from dfjax.bench.workloads import WORKLOADS, BenchSettings
from dfjax.errors import UsageError

ALL, INPUT, AUGMENT, FACES = "all", reading.WORKLOAD, augmentation.WORKLOAD, faces.WORKLOAD
SEVERAL = (ALL, FACES)
"""Workloads that give several rows."""

GENERATOR = generator_step.WORKLOAD
NAMES = tuple(sorted([*WORKLOADS, ALL, INPUT, AUGMENT, FACES, GENERATOR]))
NOT_TAKEN = {
    ALL: ("mode", "batch"),
    INPUT: ("mode", "compare"),
    AUGMENT: ("mode", "compare"),
    FACES: ("mode", "batch", "size", "compare"),
    GENERATOR: ("compare",),
}
"""Arguments that a workload does not take."""


def measure(
    workload: str,
    *,
    mode: str | None = None,
    batch: int | None = None,
    frames: int = 10,
    size: int | None = None,
    dtype: str = "float32",
    lowering: str = "auto",
    steps: int = 5,
    clips: int = 2000,
    compare: str | None = None,
    videos: Sequence[str] = (),
) -> Iterator[dict[str, Any]]:
    """Yields the rows of a workload.

    Args:
        workload: Name in `NAMES`.
        mode: `infer` or `train`; None is `infer`.
        batch: Number of items per step; None is 2.
        frames: Number of frames per clip, or per video for `faces`.
        size: Side of a frame in pixels; None is 224, and 256 for `input`.
        dtype: Name of the data type of activations.
        lowering: Lowering of convolutions.
        steps: Number of timed turns.
        clips: Number of clips over which `input` measures memory.
        compare: Peer to compare with, or None.
        videos: Videos, images and folders of them for `faces`.

    Raises:
        UsageError: The workload does not take an argument that is given.
    """
    given = {"mode": mode, "batch": batch, "size": size, "compare": compare}
    for name in NOT_TAKEN.get(workload, ()):
        if given[name] is not None:
            raise UsageError(f"the workload {workload} does not take {name}")
    if videos and workload != FACES:
        raise UsageError(f"only the workload {FACES} takes videos")
    sizes: dict[str, Any] = {"frames": frames, "size": size or (256 if workload == INPUT else 224)}
    compute: dict[str, Any] = {"dtype": dtype, "lowering": lowering}
    peers = compare is not None
    if workload == ALL:
        yield from speed.measure_all(**sizes, **compute, steps=steps, compare=peers)
    elif workload == INPUT:
        yield reading.measure_input(clips=clips, batch=batch or 2, **sizes, steps=steps)
    elif workload == AUGMENT:
        yield augmentation.measure_augment(batch=batch or 2, **sizes, **compute, steps=steps)
    elif workload == FACES:
        yield from faces.measure_faces(videos, frames=frames)
    else:
        settings = BenchSettings(workload, mode or "infer", batch or 2, **sizes, **compute)
        yield speed.measure_speed(settings, steps=steps, compare=peers)


def describe(row: dict[str, Any]) -> str:
    """Returns a row as text."""
    return faces.describe_detector(row) if row["workload"] == FACES else describe_row(row)
