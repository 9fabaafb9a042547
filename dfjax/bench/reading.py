"""What `dfjax bench input` measures: clips read from a pack, beside the same frames as PNG files.

The data are drawn by the package's own synthetic set. Both sides read the same frames of the same
clips in the same order with the same number of threads, in turn, into clips u8[T,S,S,3]; files
and pack are in the page cache, so that decoding and handing over are what is timed.
"""

import math
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from dfjax.console import track
from dfjax.data.clips.batching import Recipe
from dfjax.data.clips.pipeline import make_train_batches
from dfjax.data.clips.sampling import Sampling
from dfjax.data.store.pack import Pack, open_pack, pack
from dfjax.data.synthetic.dataset import generate
from dfjax.errors import UsageError
from dfjax.shapes import HostBatch

LEGS = 5  # of a side, whose median counts
VIDEOS, PEOPLE = 12, 6  # the smallest synthetic set
STRIDE = 3  # source frames, as the flagship samples
THREADS = 4
WINDOW = 1000  # clips over which the typical memory is taken, at the start and at the end
STATM = Path("/proc/self/statm")


class InputSettings(NamedTuple):
    """What to read: `clips` clips in all, `batch` at a time, `steps` batches a timed leg."""

    clips: int
    batch: int
    frames: int
    size: int
    steps: int


class Measured(NamedTuple):
    """Seconds per batch of either side, and resident bytes.

    Attributes:
        ours: from the pack, one per leg.
        png: from the PNG files, of the same clips.
        memory: after every batch of the long reading.
    """

    ours: list[float]
    png: list[float]
    memory: list[int]


def measure_input(settings: InputSettings) -> Measured:
    """Returns the speed of both sides, and the memory while `settings.clips` clips are read.

    Raises:
        UsageError: not on Linux, whose `/proc` tells the memory.
    """
    if not STATM.is_file():
        raise UsageError("bench input reads its memory from /proc, which only Linux has")
    with tempfile.TemporaryDirectory(prefix="dfjax-bench-") as name:
        data, pngs = _make_data(Path(name), settings)
        memory = _watch_memory(data, settings)  # first, while nothing else has been held
        return Measured(*_race(data, pngs, settings), memory)


def _make_data(folder: Path, settings: InputSettings) -> tuple[Pack, Path]:
    """Draws the videos and packs them; the pixels of the pack also go into PNG files."""
    length = STRIDE * settings.frames + STRIDE  # room for some different clips of each video
    index, _ = generate(
        folder, videos=VIDEOS, identities=PEOPLE, frames=length, size=settings.size, workers=1
    )
    pack(index, folder / "pack")
    data = open_pack(folder / "pack")
    for row in range(len(data)):
        target = _png_folder(folder, row)
        target.mkdir(parents=True)
        numbers = data.frame_numbers(row)
        for frame, rgb in zip(numbers, data.read(row, numbers)):
            cv2.imwrite(str(target / f"{frame}.png"), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    return data, folder


def _png_folder(folder: Path, row: int) -> Path:
    return folder / "png" / str(row)


def _batches(data: Pack, settings: InputSettings) -> Any:
    return make_train_batches(
        data,
        np.arange(len(data)),
        Recipe("none", settings.batch, seed=0),
        sampling=Sampling(settings.frames, "stride", STRIDE),
        threads=THREADS,
    )


def _race(data: Pack, pngs: Path, settings: InputSettings) -> tuple[list[float], list[float]]:
    """Seconds per batch, in turn: `LEGS` legs of a side, each from a standing start."""
    ours, theirs = [], []
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(LEGS + 1):
            start = time.perf_counter()
            with _batches(data, settings) as batches:
                leg = [next(batches) for _ in range(settings.steps)]
                ours.append((time.perf_counter() - start) / settings.steps)
            start = time.perf_counter()
            clips = [pool.map(_read_png, _files(pngs, batch)) for batch in leg]
            same = [list(clip) for clip in clips]
            theirs.append((time.perf_counter() - start) / settings.steps)
            _check_same(leg, same)
    return ours[1:], theirs[1:]  # the first leg warmed up


def _files(folder: Path, batch: HostBatch) -> Iterator[list[str]]:
    for row, frames in zip(batch["video_index"].tolist(), batch["position"].tolist()):
        yield [str(_png_folder(folder, row) / f"{frame}.png") for frame in frames]


def _read_png(files: list[str]) -> np.ndarray:
    clip = []
    for file in files:
        image = cv2.imread(file)
        assert image is not None, file  # written a moment ago
        clip.append(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    return np.stack(clip)


def _check_same(ours: list[HostBatch], theirs: list[list[np.ndarray]]) -> None:
    for batch, clips in zip(ours, theirs):
        if not np.array_equal(batch["clip"], np.stack(clips)):
            raise RuntimeError("the two sides read different frames")


def _watch_memory(data: Pack, settings: InputSettings) -> list[int]:
    """Resident bytes after every batch, over all clips."""
    sizes = []
    count = math.ceil(settings.clips / settings.batch)
    with _batches(data, settings) as batches:
        for _ in track(range(count), total=count, what="watching memory"):
            next(batches)
            sizes.append(resident_bytes())
    return sizes


def resident_bytes() -> int:
    """Returns the memory that this process holds, from `/proc`."""
    return int(STATM.read_text().split()[1]) * resource.getpagesize()


def report(settings: InputSettings, measured: Measured) -> dict[str, Any]:
    """Returns the row for `--json`: speed, the PNG side, the ratio, the growth of memory.

    How many batches are in flight changes from one moment to the next, so that growth compares the
    medians of the second half of the first 1,000 clips (the first one fills the buffers) and of
    the last 1,000; it is None for fewer than 2,000 clips.
    """
    median, png = statistics.median(measured.ours), statistics.median(measured.png)
    window = WINDOW // settings.batch
    early = statistics.median(measured.memory[window // 2 : window] or measured.memory)
    late = statistics.median(measured.memory[-window or None :])
    enough = settings.clips >= 2 * WINDOW
    return {
        "clips": settings.clips,
        "median_s": median,
        "items_per_s": settings.batch / median,
        "peak_bytes": max(measured.memory),
        "png": {"median_s": png, "items_per_s": settings.batch / png},
        "ratio": png / median,
        "early_bytes": early,
        "late_bytes": late,
        "growth_percent": 100 * (late / early - 1) if enough else None,
    }
