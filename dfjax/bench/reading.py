"""Measures the input pipeline: clips from a pack, compared with the same frames in PNG files.

The data are a synthetic set. Both sides alternate and read the same frames in the same order with
the same number of threads into clips u8[T,S,S,3]. Files and pack are in the page cache, so that the
times are those of decoding and of transferring clips between threads.
"""

import math
import resource
import statistics
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dfjax.bench.rows import Cost, identify, summarize, timed
from dfjax.console import track
from dfjax.data.clips.batching import EpochOptions
from dfjax.data.clips.pipeline import make_train_batches
from dfjax.data.clips.sampling import Sampling
from dfjax.data.store.pack import Pack, open_pack, pack
from dfjax.data.synthetic.dataset import generate
from dfjax.errors import UsageError
from dfjax.shapes import HostBatch

TURNS = 5  # number of timed blocks of each side, of which the median is taken
VIDEOS, PEOPLE = 12, 6  # the smallest synthetic set
STRIDE = 3  # source frames, as in the config dual_stream
THREADS = 4
WINDOW = 1000  # number of clips at the start and at the end whose median memory is compared
STATM = Path("/proc/self/statm")
WORKLOAD = "input"


def measure_input(*, clips: int, batch: int, frames: int, size: int, steps: int) -> dict[str, Any]:
    """Returns a row of the benchmark for reading: speed, speed with PNG files, growth of memory.

    Args:
        clips: Number of clips over which the growth of memory is measured.
        batch: Number of clips per batch.
        frames: Number of frames per clip.
        size: Side of a frame in pixels.
        steps: Number of batches per timed block.

    Raises:
        UsageError: The system has no `/proc`, from which the memory is read.
    """
    if not STATM.is_file():
        raise UsageError("reading can only be measured on Linux, because memory is read from /proc")
    with tempfile.TemporaryDirectory(prefix="dfjax-bench-") as name:
        data, pngs = _make_data(Path(name), frames, size)
        memory = _measure_memory(data, clips, batch, frames)  # before anything else is allocated
        ours, png = _time_both(data, pngs, batch, frames, steps)
    speed, other = summarize(ours, batch, steps=steps), summarize(png, batch, steps=steps)
    row = identify(
        workload=WORKLOAD, mode="train", batch=batch, frames=frames, size=size, dtype="uint8",
        device="cpu",
    )  # fmt: skip
    return row | {
        **speed,
        "compile_s": 0.0,
        "params": 0,
        "peak_bytes": max(memory),
        "png": other,
        "ratio": other["median_s"] / speed["median_s"],
        "clips": clips,
        **_compute_growth(memory, clips, batch),
    }


def _make_data(folder: Path, frames: int, size: int) -> tuple[Pack, Path]:
    """Generates the videos, packs them and writes the frames of the pack to PNG files."""
    length = STRIDE * frames + STRIDE  # more than one clip, so that different clips are drawn
    index, _ = generate(
        folder, videos=VIDEOS, identities=PEOPLE, frames=length, size=size, workers=1
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


def _batches(data: Pack, batch: int, frames: int) -> Any:
    return make_train_batches(
        data,
        np.arange(len(data)),
        EpochOptions("none", batch, seed=0),
        sampling=Sampling(frames, "stride", STRIDE),
        threads=THREADS,
    )


def _time_both(
    data: Pack, pngs: Path, batch: int, frames: int, steps: int
) -> tuple[list[Cost], list[Cost]]:
    """Returns the costs of `steps` batches from the pack and from the files, each `TURNS` times."""
    ours: list[Cost] = []
    theirs: list[Cost] = []
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in range(TURNS + 1):
            with timed(ours), _batches(data, batch, frames) as batches:
                read = [next(batches) for _ in range(steps)]
            with timed(theirs):
                clips = [pool.map(_read_png, _files(pngs, each)) for each in read]
                same = [list(clip) for clip in clips]
            _check_same(read, same)
    return ours[1:], theirs[1:]  # the first turn is a warm-up


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


def _measure_memory(data: Pack, clips: int, batch: int, frames: int) -> list[int]:
    """Returns the resident memory in bytes after every batch."""
    sizes = []
    count = math.ceil(clips / batch)
    with _batches(data, batch, frames) as batches:
        for _ in track(range(count), total=count, what="measuring memory"):
            next(batches)
            sizes.append(resident_bytes())
    return sizes


def resident_bytes() -> int:
    """Returns the resident memory of this process in bytes, from `/proc`."""
    return int(STATM.read_text().split()[1]) * resource.getpagesize()


def _compute_growth(memory: list[int], clips: int, batch: int) -> dict[str, Any]:
    """Returns the memory at the start and at the end, and its growth in percent.

    Since the number of prefetched batches varies, the growth compares the median over the second
    half of the first 1,000 clips (during the first half the buffers are filled) with that over the
    last 1,000. It is None for fewer than 2,000 clips.
    """
    window = WINDOW // batch
    early = statistics.median(memory[window // 2 : window] or memory)
    late = statistics.median(memory[-window or None :])
    growth = 100 * (late / early - 1) if clips >= 2 * WINDOW else None
    return {"early_bytes": early, "late_bytes": late, "growth_percent": growth}
