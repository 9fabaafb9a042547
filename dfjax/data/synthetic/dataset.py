"""Writes the synthetic data set: face crops in the layout of `data extract`, and their index."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2

from dfjax import FAKE, REAL
from dfjax.console import track
from dfjax.data.faces.recipe import CropRecipe, make_metadata
from dfjax.data.faces.worker_pool import run_tasks
from dfjax.data.index.records import make_index, make_record, write_index
from dfjax.data.synthetic.plan import DATASET, VideoPlan, make_plan
from dfjax.data.synthetic.render import FPS, Canvas, render, render_masks
from dfjax.errors import RunError, UsageError
from dfjax.files import record_settings
from dfjax.outputs import check_folder, check_inside, check_outputs

LOOK = 2  # version of the rendering; increased when pixels change, to keep versions apart

TIME_LIMIT = 600.0  # seconds per video


def generate(
    out: str | os.PathLike[str],
    *,
    videos: int,
    identities: int,
    frames: int = 12,
    size: int = 64,
    seed: int = 0,
    workers: int = 0,
    masks: bool = False,
    command: str = "dfjax data synth",
) -> tuple[Path, int]:
    """Writes the data set to `out`; returns the path of its index and how many videos were drawn.

    The pixels depend on the arguments but not on the number of workers. Videos that an earlier call
    has finished are kept. `out` gets `crops/VIDEO_ID/%06d.jpg`, on request
    `masks/VIDEO_ID/%06d.png`, `index.parquet` and `synthetic.json`.

    Args:
        out: Folder of the data set.
        videos: Number of videos, an even number. Half of them are real, half fake.
        identities: Number of people, an even number of at least 6.
        frames: Number of frames per video.
        size: Side of a face crop in pixels, at least 16.
        seed: Seed of all random choices.
        workers: Number of processes; 0 uses one per core.
        masks: Whether the masks of fakes are written too, and named by the index.
        command: Command that the metadata of the index names as its origin.

    Raises:
        UsageError: An argument is out of range, or `out` holds a set with other settings.
    """
    plans = make_plan(videos, identities, seed)
    if frames < 1 or size < 16:
        raise UsageError(f"frames must be at least 1 and size at least 16, not {frames} and {size}")
    out = Path(out)
    settings = {
        "dataset": DATASET, "videos": videos, "identities": identities, "frames": frames,
        "size": size, "seed": seed, "look": LOOK,
    }  # fmt: skip
    check_outputs([out / "index.parquet"])
    for name in ("crops", "masks") if masks else ("crops",):
        check_folder(out / name, inputs=(), owner=out / "synthetic.json")
    record_settings(out / "synthetic.json", settings, content="a synthetic data set")
    missing = [plan for plan in plans if not _is_done(_folder(out, plan), frames)]
    write = functools.partial(_write_crops, out=out, seed=seed, frames=frames, size=size)
    _run_all(write, missing, workers or os.cpu_count() or 1)
    if masks:
        fakes = [plan for plan in plans if plan.method != "real"]
        bare = [p for p in fakes if not _is_done(_mask_folder(out, p), frames, ".png")]
        paint = functools.partial(_write_masks, out=out, seed=seed, frames=frames, size=size)
        _run_all(paint, bare, workers or os.cpu_count() or 1)
    rows = [_make_row(plan, out, size, masks=masks) for plan in plans]
    # The crops are rendered, but videos of this set must be cropped like those of other data sets.
    recipe = CropRecipe(size=size, every=1)
    index = make_index(rows)
    write_index(index, out / "index.parquet", command=command, metadata=make_metadata(recipe))
    return out / "index.parquet", len(missing)


def _folder(out: Path, plan: VideoPlan) -> Path:
    return out / "crops" / plan.video_id


def _mask_folder(out: Path, plan: VideoPlan) -> Path:
    return out / "masks" / plan.video_id


def _is_done(folder: Path, frames: int, suffix: str = ".jpg") -> bool:
    return (folder / f"{frames - 1:06d}{suffix}").is_file()


def _run_all(write: Callable[[VideoPlan], None], plans: list[VideoPlan], workers: int) -> None:
    """Calls `write` on every plan in `workers` processes and shows a progress bar on stderr."""
    if workers <= 1 or len(plans) < 2 * workers:
        for _ in track(map(write, plans), total=len(plans), what="drawing videos"):
            pass
        return
    done = run_tasks(write, plans, workers=workers, time_limit=TIME_LIMIT)
    for outcome in track(done, total=len(plans), what="drawing videos"):
        if outcome.error is not None:
            raise RunError(f"{plans[outcome.position].video_id} was not drawn: {outcome.error}")


def _write_crops(plan: VideoPlan, *, out: Path, seed: int, frames: int, size: int) -> None:
    """Writes the crops of one video into its folder."""
    video, quality = render(plan, seed, frames=frames, canvas=Canvas((size, size), size))
    crops = (cv2.cvtColor(frame, cv2.COLOR_RGB2BGR) for frame in video)
    _fill(_folder(out, plan), out, crops, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])


def _write_masks(plan: VideoPlan, *, out: Path, seed: int, frames: int, size: int) -> None:
    """Writes the masks of the crops of one video into its folder."""
    masks = render_masks(plan, seed, frames=frames, canvas=Canvas((size, size), size))
    _fill(_mask_folder(out, plan), out, masks, ".png", [])


def _fill(
    folder: Path, out: Path, pictures: Iterable[Any], suffix: str, options: list[int]
) -> None:
    """Writes pictures into a folder below `out`, which appears only when it is complete."""
    check_inside(folder, out)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for t, picture in enumerate(pictures):
        cv2.imwrite(str(partial / f"{t:06d}{suffix}"), picture, options)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)


def _make_row(plan: VideoPlan, out: Path, size: int, *, masks: bool) -> dict[str, Any]:
    """Returns the index row of a video, with properties measured on its files."""
    folder = _folder(out, plan)
    files = sorted(folder.glob("*.jpg"))
    contents = [file.read_bytes() for file in files]
    n_bytes = sum(map(len, contents))
    duration = len(files) / FPS
    fake, numbers = plan.method != "real", [int(file.stem) for file in files]
    return make_record(
        video_id=plan.video_id,
        dataset=DATASET,
        label=FAKE if fake else REAL,
        method=plan.method,
        split=plan.split,
        target_id=plan.target,
        donor_ids=[plan.donor] if plan.method == "blend" else [],
        origin_id=f"{DATASET}/{plan.recording}",
        group=plan.group,
        pair_id=f"{DATASET}/real/{plan.recording}" if fake else None,
        compression="jpeg",
        n_frames=len(files),
        width=size,
        height=size,
        fps=FPS,
        duration=duration,
        codec="mjpeg",
        bitrate=round(8 * n_bytes / duration),
        bytes=n_bytes,
        sha256=hashlib.sha256(b"".join(contents)).hexdigest(),
        frames_dir=folder.relative_to(out).as_posix(),
        frame_indices=numbers,
        boxes=[[0.0, 0.0, float(size), float(size)]] * len(files),
        face_found=[True] * len(files),
        quality=[_sharpness(file) for file in files],
        mask_dir=_mask_folder(Path(), plan).as_posix() if masks and fake else None,
        mask_indices=numbers if masks and fake else None,
    )


def _sharpness(file: Path) -> float:
    grey = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise UsageError(f"{file} is not a readable image; delete its folder and try again")
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())
