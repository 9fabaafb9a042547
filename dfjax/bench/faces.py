"""Measures the face detectors of this machine on the frames of videos."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import dfjax
from dfjax.bench.drawn_videos import find_or_draw
from dfjax.console import say, track
from dfjax.data.faces.detectors import make_detector
from dfjax.data.faces.detectors.availability import find_available
from dfjax.data.faces.settings import choose_frames
from dfjax.data.index.source import Source, iterate_source, probe_source
from dfjax.errors import InputError, UsageError

WORKLOAD = "faces"


def measure_faces(
    videos: Sequence[str | Path], *, frames: int, detectors: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """Yields one row per face detector: milliseconds per frame and the faces that it finds.

    OpenCV uses one thread, as in extraction, which runs one process per core. The frames are held
    in memory.

    Args:
        videos: Videos, images and folders of them; none for drawn videos (`find_or_draw`).
        frames: Number of frames per video, spread evenly.
        detectors: Names of face detectors; none for all that can be used.

    Raises:
        UsageError: No video can be read, or a face detector cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="dfjax-bench-") as folder:
        pictures = _read(find_or_draw(videos, Path(folder)), frames)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        for name in detectors or find_available():
            yield _measure(name, pictures) | {"drawn": not videos}
    finally:
        cv2.setNumThreads(threads)


def _read(paths: Sequence[Path], frames: int) -> list[np.ndarray]:
    pictures: list[np.ndarray] = []
    for path in track(paths, total=len(paths), what="reading"):
        source = Source((path,))
        try:
            numbers = choose_frames(probe_source(source).n_frames, frames=frames, every=None)
            pictures += list(iterate_source(source, numbers))
        except InputError as error:
            say(f"note: {path} is left out: {error}")
    if not pictures:
        raise UsageError(f"the workload {WORKLOAD} needs a video or an image that can be read")
    return pictures


def _measure(name: str, pictures: Sequence[np.ndarray]) -> dict[str, Any]:
    detect = make_detector(name)
    detect(pictures[0])  # allocates the network's memory
    seconds, found = [], []
    for picture in pictures:
        start = time.perf_counter()
        found.append(len(detect(picture).boxes))
        seconds.append(time.perf_counter() - start)
    return {
        "peer": "dfjax",
        "version": dfjax.__version__,
        "opencv": cv2.__version__,
        "workload": WORKLOAD,
        "detector": name,
        "frames": len(pictures),
        "frames_with_face": sum(count > 0 for count in found),
        "faces": sum(found),
        "median_ms": 1e3 * float(np.median(seconds)),
        "mean_ms": 1e3 * float(np.mean(seconds)),
    }


def describe_detector(row: dict[str, Any]) -> str:
    """Returns a row of `measure_faces` as text."""
    share = row["frames_with_face"] / row["frames"]
    return (
        f"{row['detector']:<9} {row['median_ms']:6.1f} ms a frame, a face in "
        f"{row['frames_with_face']} of {row['frames']} frames ({share:.1%}), {row['faces']} faces"
    )
