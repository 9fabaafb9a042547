"""Measures prediction: the time from a video file to the verdict on it, and the memory.

A verdict includes starting the process that decodes, finding and cropping faces, and the network.
"""

import math
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import dfjax
from dfjax.bench.child_memory import ChildMemory
from dfjax.bench.drawn_videos import find_or_draw
from dfjax.config import load_config
from dfjax.console import say, track
from dfjax.errors import UsageError
from dfjax.experiment import builders
from dfjax.experiment import workdir as workdirs
from dfjax.experiment.hub_folder import find_weights, is_hub_folder
from dfjax.experiment.saved import Saved
from dfjax.inference.detector import Detector, load
from dfjax.inference.export import describe_saved
from dfjax.inference.media import find_inputs
from dfjax.weights.hub import is_hub_address
from dfjax.weights.safetensors_file import read_header, save_safetensors

WORKLOAD = "predict"
CONFIG = "dual_stream"
"""Config of the detector with random parameters that is measured where none is given."""

OF_DETECTOR = ("frames", "size", "dtype", "lowering")
"""Arguments of `measure_predict` that are for the random detector; a given one has its own."""

RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes of a unit of `ru_maxrss`


def check_inputs(videos: Sequence[str | Path], detector: str | os.PathLike[str] | None) -> None:
    """Raises an error for what `measure_predict` cannot use, without loading parameters.

    A detector on the Hugging Face Hub is not looked for.

    Args:
        videos: Videos, images and folders of them.
        detector: What `dfjax.load` takes, or None.

    Raises:
        UsageError: There is no such video or detector.
    """
    find_inputs([Path(video) for video in videos])
    if detector is None or is_hub_address(detector):
        return
    path = Path(detector)
    if is_hub_folder(path):
        find_weights(path)
    elif path.is_file() or path.suffix == ".safetensors":
        read_header(path)
    else:
        workdirs.load(path)
        if not any((path / "checkpoints" / "best").glob("[0-9]*")):
            raise UsageError(f"{path} has no checkpoint best")


def measure_predict(
    videos: Sequence[str | Path] = (),
    *,
    detector: str | os.PathLike[str] | None = None,
    frames: int,
    size: int,
    dtype: str,
    lowering: str,
    steps: int,
) -> dict[str, Any]:
    """Returns a row of the benchmark for prediction.

    `first_s` is the time of the first verdict, which includes compilation (videos without one
    are passed over); `p50_s` and `p95_s` are percentiles of the times of single videos, one after
    the other; `videos_per_s` is the rate of one call for all videos, which `workers` processes
    read.
    `peak_bytes` is the largest resident memory of this process, and `worker_peak_bytes` that of the
    largest process that reads, None where it is not known.

    Args:
        videos: Videos, images and folders of them; none for drawn videos (`find_or_draw`).
        detector: What `dfjax.load` takes; None is `CONFIG` with random parameters.
        frames: Number of frames per clip of the random detector.
        size: Side of its input in pixels.
        dtype: Data type of its activations.
        lowering: Lowering of its convolutions.
        steps: Number of times that every video is scored.

    Raises:
        UsageError: There is no such video or detector, or no video has a verdict.
    """
    with tempfile.TemporaryDirectory(prefix="dfjax-bench-") as name:
        folder = Path(name)
        paths = find_or_draw(videos, folder)
        run: dict[str, Any] = {"frames": frames, "size": size, "dtype": dtype, "lowering": lowering}
        loaded = load(detector or _store_random(folder, **run))
        for path in paths:
            first, (verdict,) = _time(loaded, [path])
            if not verdict.error:
                break
        with ChildMemory() as workers:
            usable = _keep_usable(loaded, paths)
        singles, wholes = [], []
        for _ in track(range(steps), total=steps, what="predicting"):
            singles += [_time(loaded, [path])[0] for path in usable]
            wholes.append(_time(loaded, usable)[0])
    return {
        **_describe_detector(loaded, str(detector) if detector else f"{CONFIG}, random parameters"),
        "videos": len(usable),
        "workers": min(os.cpu_count() or 1, len(usable)),
        "drawn": not videos,
        "verdicts": len(singles),
        "first_s": first,
        "p50_s": float(np.percentile(singles, 50)),
        "p95_s": float(np.percentile(singles, 95)),
        "videos_per_s": len(usable) / statistics.median(wholes),
        "peak_bytes": RSS_UNIT * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "worker_peak_bytes": workers.peak_bytes,
    }


def _describe_detector(detector: Detector, name: str) -> dict[str, Any]:
    """Returns the keys of a row on versions, the detector and the machine."""
    config = detector.config
    return {
        "peer": "dfjax",
        "version": dfjax.__version__,
        "jax": jax.__version__,
        "source": "dfjax",
        "workload": WORKLOAD,
        "detector": name,
        "config": config.name,
        "frames": config.data.frames,
        "size": config.preprocess.size,
        "dtype": config.precision,
        "device": jax.devices()[0].device_kind,
    }


def _store_random(folder: Path, *, frames: int, size: int, dtype: str, lowering: str) -> Path:
    """Writes a detector of `CONFIG` with random parameters, and returns its file."""
    options = {
        "data.frames": frames,
        "preprocess.size": size,
        f"model.{CONFIG.partition(':')[0]}.lq_size": size // 2,
        "precision": dtype,
        "lowering": lowering,
    }
    config = load_config(CONFIG, options)
    init = builders.make_model(config).init
    shapes = jax.eval_shape(init, jax.random.key(0), builders.example_inputs(config))
    variables = draw_parameters(shapes)
    saved = Saved(config, variables, None, "random", "0" * 64, (), folder)
    save_safetensors(folder / "random.safetensors", variables, metadata=describe_saved(saved))
    return folder / "random.safetensors"


def draw_parameters(shapes: Any) -> Any:
    """Returns variables of random numbers, which take as long to compute with as trained ones.

    The initialisers of a model, compiled, take as long as compiling its forward pass; numpy draws
    the same shapes in a second. Kernels have variance 2 / fan-in (He et al., 2015), scales and
    variances are 1, and other vectors are 0.

    Args:
        shapes: Shapes of the variables, of which each has a name.
    """
    rng = np.random.default_rng(0)

    def draw(path: Any, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        if leaf.ndim < 2:
            return np.full(leaf.shape, path[-1].key in ("scale", "var"), leaf.dtype)
        fan = math.prod(leaf.shape[:-1])
        return (rng.standard_normal(leaf.shape, np.float32) * (2 / fan) ** 0.5).astype(leaf.dtype)

    return jax.tree.map_with_path(draw, shapes)


def _time(detector: Detector, paths: Sequence[Path]) -> tuple[float, Any]:
    """Returns the seconds of a call, and the verdicts."""
    start = time.perf_counter()
    verdicts = detector(list(paths))
    return time.perf_counter() - start, verdicts


def _keep_usable(detector: Detector, paths: Sequence[Path]) -> list[Path]:
    """Returns the videos that have a verdict; the others are said."""
    _, verdicts = _time(detector, paths)
    errors = {path: verdict.error for path, verdict in zip(paths, verdicts) if verdict.error}
    for path, error in errors.items():
        say(f"note: {path} is left out: {error}")
    if len(errors) == len(paths):
        raise UsageError(f"no video has a verdict: {next(iter(errors.values()))}")
    return [path for path in paths if path not in errors]


def describe_prediction(row: dict[str, Any]) -> str:
    """Returns a row of `measure_predict` as text."""
    worker, count = row["worker_peak_bytes"], row["workers"]
    memory = "" if worker is None else f" and {worker / 1e9:.2f} GB for each of these"
    return (
        f"predict with {row['detector']}, {row['videos']} videos: {row['p50_s']:.2f} s a video "
        f"(p95 {row['p95_s']:.2f} s, the first {row['first_s']:.1f} s), "
        f"{row['videos_per_s']:.2g} videos/s, read by {count} process{'es' * (count > 1)}, "
        f"{row['peak_bytes'] / 1e9:.2f} GB{memory}"
    )
