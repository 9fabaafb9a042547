"""Measures a workload by its name: speed, reading, augmentation, face detectors, prediction."""

import json
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dfjax.bench import augmentation, faces, generator_step, reading, speed, suite, verdicts
from dfjax.bench.rows import describe_row
from dfjax.bench.workloads import PEERS, WORKLOADS, BenchSettings
from dfjax.console import one_line
from dfjax.errors import RunError, UsageError, unknown
from dfjax.huge_pages import keep_memory

INPUT, AUGMENT, FACES = reading.WORKLOAD, augmentation.WORKLOAD, faces.WORKLOAD
GENERATOR, PREDICT = generator_step.WORKLOAD, verdicts.WORKLOAD
NAMES = tuple(sorted([*WORKLOADS, INPUT, AUGMENT, FACES, GENERATOR, PREDICT, suite.ALL]))
NOT_TAKEN = {
    suite.ALL: ("mode", "batch"),
    INPUT: ("mode", "compare"),
    AUGMENT: ("mode", "compare"),
    FACES: ("mode", "batch", "size", "compare"),
    PREDICT: ("mode", "batch", "compare"),
    **dict.fromkeys({*WORKLOADS, GENERATOR} - {*PEERS}, ("compare",)),
}
"""Arguments that a workload does not take."""

READ_FILES = (FACES, PREDICT, suite.ALL)
SEVERAL = (FACES, suite.ALL)
"""Workloads that give several rows."""


def measure(
    workload: str,
    *,
    mode: str | None = None,
    batch: int | None = None,
    frames: int | None = None,
    size: int | None = None,
    dtype: str | None = None,
    lowering: str | None = None,
    steps: int = 5,
    clips: int = 2000,
    compare: str | None = None,
    videos: Sequence[str] = (),
    detector: str | None = None,
) -> Iterator[dict[str, Any]]:
    """Yields the rows of a workload.

    Args:
        workload: Name in `NAMES`.
        mode: `infer` or `train`; None is `infer`.
        batch: Number of items per step; None is 2.
        frames: Number of frames per clip, or per video for `faces`; None is 10.
        size: Side of a frame in pixels; None is 224, and 256 for `input`.
        dtype: Name of the data type of activations; None is float32.
        lowering: Lowering of convolutions; None is `auto`.
        steps: Number of timed turns.
        clips: Number of clips over which `input` measures memory.
        compare: Peer to compare with, or None.
        videos: Videos, images and folders of them for `faces` and `predict`; none for drawn ones.
        detector: Detector of `predict`; see `measure_predict`.

    Raises:
        UsageError: The workload is unknown, or does not take an argument that is given, or a number
            is not positive.
    """
    sizes: dict[str, Any] = {"frames": frames, "size": size}
    compute: dict[str, Any] = {"dtype": dtype, "lowering": lowering}
    given = {"mode": mode, "batch": batch, "compare": compare, **sizes, **compute}
    _check(workload, given | {"steps": steps, "clips": clips}, videos, detector)
    frames = frames or 10
    sizes = {"frames": frames, "size": size or (256 if workload == INPUT else 224)}
    compute = {"dtype": dtype or "float32", "lowering": lowering or "auto"}
    peers = compare is not None
    if workload == suite.ALL:
        shared = {"frames": frames, "size": size, **compute, "steps": steps}
        yield from suite.measure_all(
            shared, clips=clips, compare=compare, videos=videos, detector=detector
        )
    elif workload == INPUT:
        yield reading.measure_input(clips=clips, batch=batch or 2, **sizes, steps=steps)
    elif workload == AUGMENT:
        yield augmentation.measure_augment(batch=batch or 2, **sizes, **compute, steps=steps)
    elif workload == FACES:
        yield from faces.measure_faces(videos, frames=frames)
    elif workload == PREDICT:
        yield verdicts.measure_predict(videos, detector=detector, **sizes, **compute, steps=steps)
    else:
        settings = BenchSettings(workload, mode or "infer", batch or 2, **sizes, **compute)
        yield speed.measure_speed(settings, steps=steps, compare=peers)


def _check(
    workload: str, given: Mapping[str, Any], videos: Sequence[str], detector: str | None
) -> None:
    """Raises a `UsageError` for an unknown workload, and for arguments that it does not take."""
    if workload not in NAMES:
        raise unknown("workload", workload, NAMES)
    for name, value in given.items():
        if isinstance(value, int) and value < 1:
            raise UsageError(f"{name} must be at least 1, not {value}")
    for name in NOT_TAKEN.get(workload, ()):
        if given[name] is not None:
            raise UsageError(f"the workload {workload} does not take {name}")
    if videos and workload not in READ_FILES:
        raise UsageError(f"only {', '.join(READ_FILES)} take videos")
    if detector and workload not in (PREDICT, suite.ALL):
        raise UsageError(f"only {PREDICT} and {suite.ALL} take a detector")
    own = [name for name in verdicts.OF_DETECTOR if given[name] is not None]
    if detector and workload == PREDICT and own:
        raise UsageError(
            f"a given detector has its own {', '.join(own)}; only a random one takes these"
        )


def describe(row: dict[str, Any]) -> str:
    """Returns a row as text."""
    if "error" in row:
        return f"{suite.name_run(row)} was not measured: {row['error']}"
    if row["workload"] == PREDICT:
        return verdicts.describe_prediction(row)
    return faces.describe_detector(row) if row["workload"] == FACES else describe_row(row)


def serve(run: str, answer: str) -> None:
    """Measures a workload in this process, and writes its rows, or why there are none.

    Args:
        run: Arguments of `measure` as JSON.
        answer: File to write, JSON.
    """
    keep_memory()
    try:
        result: Any = list(measure(**json.loads(run)))
    except (UsageError, RunError) as error:
        result = {"error": str(error)}
    except Exception as error:  # noqa: BLE001  # the other workloads go on
        traceback.print_exc()
        result = {"error": one_line(f"{type(error).__name__}: {error}")[:300]}
    Path(answer).write_text(json.dumps(result))
