"""Videos into face crops: `OUT/crops/VIDEO_ID/%06d.jpg`, in parallel, resumable video by video."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd

from dfjax.data.faces import (
    FaceCrops,
    FaceDetector,
    crop_faces,
    cut,
    locate_face,
    make_detector,
)
from dfjax.data.records import atomic_path
from dfjax.data.video import ShortVideoError, iterate_frames, probe
from dfjax.data.worker_pool import run_tasks
from dfjax.errors import InputError, UsageError

JPEG_QUALITY = 95
BUFFER_BYTES = 256 * 2**20  # per worker: 32 frames of 1920x1080 fit
SETTINGS_FILE = "extraction.json"
FACES_FILE = "faces.json"  # beside the crops of a video: it is finished


@dataclasses.dataclass(frozen=True)
class Settings:
    """What decides the crops; one extraction folder has one set of them."""

    detector: str = "haar"
    detector_model: str | None = None
    frames: int | None = 32
    every: int | None = None
    size: int = 256
    margin: float = 1.3


class Extraction(NamedTuple):
    """What became of row number `position`: its new columns, or why there are none."""

    position: int
    fields: dict[str, Any] | None
    error: str | None
    reused: bool  # it was there already


def choose_frames(n_frames: int, *, frames: int | None, every: int | None) -> list[int]:
    """Returns source frame numbers: `frames` of them spread evenly, or `every` n-th from 0.

    The even choice includes the first and the last frame; a video with fewer frames gives all.

    Raises:
        ValueError: not exactly one of `frames` and `every` is given and positive.
    """
    if (frames is None) == (every is None) or (frames or every or 0) < 1:
        raise ValueError("give one of frames and every, at least 1")
    if every is not None:
        return list(range(0, n_frames, every))
    count = min(frames or 0, n_frames)
    return np.linspace(0, n_frames - 1, count).round().astype(int).tolist()


def extract_video(
    path: Path, indices: Sequence[int], detector: FaceDetector, *, size: int, margin: float = 1.3
) -> FaceCrops:
    """Returns the face crops of these frames of a video or image.

    Where all frames together exceed `BUFFER_BYTES` the file is decoded twice, to find the face and
    to cut it out, with one frame in memory at a time; the crops are the same.

    Raises:
        InputError: the file cannot be read, or ends before the last index.
    """
    frames = iterate_frames(path, indices)
    first = next(frames)
    if first.nbytes * len(indices) <= BUFFER_BYTES:
        return crop_faces([first, *frames], detector, size=size, margin=margin)
    face = locate_face(iterate_frames(path, indices), detector)
    frames = iterate_frames(path, indices)
    crops = [cut(frame, box, face, size, margin) for frame, box in zip(frames, face.boxes)]
    return FaceCrops(np.stack(crops), *face)


def open_output(out: Path, settings: Settings) -> None:
    """Makes `out` the folder of these settings, written to `extraction.json`.

    Raises:
        UsageError: it already holds crops made with other settings; the message lists them.
    """
    model = settings.detector_model
    wanted = dataclasses.asdict(settings)
    wanted["detector_model"] = _digest(model) if model else None
    file = out / SETTINGS_FILE
    if file.is_file():
        used = json.loads(file.read_text())
        changed = [f"{k}: {used.get(k)} -> {v}" for k, v in wanted.items() if used.get(k) != v]
        if changed:
            raise UsageError(
                f"{out} holds crops made with other settings ({'; '.join(changed)}); "
                "choose another --out, or delete it"
            )
    with atomic_path(file) as partial:
        partial.write_text(json.dumps(wanted, indent=2))


def extract_index(
    index: pd.DataFrame, out: Path, settings: Settings, *, workers: int, time_limit: float
) -> Iterator[Extraction]:
    """Yields, per row of the index, the extracted columns or the reason why there are none.

    Videos that `out` holds already are not extracted again: they come first.

    Args:
        index: rows with `root` and `path`.
        out: an extraction folder, see `open_output`.
        settings: what to extract.
        workers: processes; the result does not depend on it.
        time_limit: seconds per video.
    """
    rows = index[["video_id", "root", "path", "sha256"]].astype(object)
    tasks = rows.where(rows.notna(), None).to_dict("records")
    todo = []
    for position, task in enumerate(tasks):
        fields = load_finished(out, task["video_id"], task["sha256"])
        if fields is None:
            todo.append(position)
        else:
            yield Extraction(position, fields, None, True)
    function = functools.partial(extract_record, str(out), settings)
    waiting = [tasks[position] for position in todo]
    outcomes = run_tasks(function, waiting, workers=workers, time_limit=time_limit)
    for position, fields, error in outcomes:
        yield Extraction(todo[position], fields, error, False)


def merge(index: pd.DataFrame, results: dict[int, dict[str, Any]]) -> pd.DataFrame:
    """Returns the rows that were extracted, in the order of the index, with their new columns."""
    rows = index.astype(object).to_dict("records")
    return pd.DataFrame([rows[position] | results[position] for position in sorted(results)])


def extract_record(out: str, settings: Settings, task: dict[str, Any]) -> dict[str, Any]:
    """Extracts one video into its folder and returns the columns for its row.

    Raises:
        InputError: the video cannot be read, or is not the one that was indexed.
    """
    folder = crops_folder(Path(out), task["video_id"])
    if task["path"] is None:
        raise InputError("the index names no file for it")
    path = Path(task["root"] or "", task["path"])
    info = probe(path)
    if task["sha256"] not in (None, info.sha256):
        raise InputError("the file has changed since it was indexed: run `dfjax data index` again")
    detector = _detector(settings.detector, settings.detector_model)
    choose = functools.partial(choose_frames, frames=settings.frames, every=settings.every)
    size, margin = settings.size, settings.margin
    indices = choose(info.n_frames)
    try:
        faces = extract_video(path, indices, detector, size=size, margin=margin)
    except ShortVideoError as error:  # the stream promises frames that do not decode
        info = info._replace(n_frames=error.n_frames)
        indices = choose(info.n_frames)
        faces = extract_video(path, indices, detector, size=size, margin=margin)
    fields = info._asdict() | _face_fields(indices, faces)
    _save(folder, indices, faces, fields)
    return fields | {"frames_dir": folder.relative_to(out).as_posix()}


def load_finished(out: Path, video_id: str, sha256: str | None) -> dict[str, Any] | None:
    """Returns the columns of a video that `out` holds already, or None.

    Crops of a file that had another content than the index says do not count.
    """
    file = crops_folder(out, video_id) / FACES_FILE
    if not file.is_file():
        return None
    fields = json.loads(file.read_text())
    if sha256 is not None and fields["sha256"] != sha256:
        return None
    return fields | {"frames_dir": file.parent.relative_to(out).as_posix()}


def crops_folder(out: Path, video_id: str) -> Path:
    """Returns where the crops of a video belong.

    Raises:
        UsageError: the id would lead outside of `out`.
    """
    parts = PurePosixPath(video_id).parts
    if not parts or ".." in parts or parts[0] == "/" or "\0" in video_id:
        raise UsageError(f"video_id {video_id!r} cannot name a folder")
    return out.joinpath("crops", *parts)


def _digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@functools.cache
def _detector(name: str, model_path: str | None) -> FaceDetector:
    return make_detector(name, model_path)


def _face_fields(indices: list[int], faces: FaceCrops) -> dict[str, Any]:
    return {
        "frame_indices": indices,
        "boxes": [[round(float(v), 2) for v in box] for box in faces.boxes],
        "landmarks": faces.landmarks,
        "face_found": faces.found.tolist(),
        "quality": [_sharpness(crop) for crop in faces.crops],
    }


def _sharpness(crop: np.ndarray) -> float:
    gray = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    return round(float(cv2.Laplacian(gray, cv2.CV_64F).var()), 2)


def _save(folder: Path, indices: list[int], faces: FaceCrops, fields: dict[str, Any]) -> None:
    """Writes the crops and then, as the mark that they are complete, the faces file.

    The folder itself may hold those of other videos (`a/b.mp4` beside `a.mp4`): only own files go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for stale in (folder / FACES_FILE, *folder.glob("*.jpg")):
        stale.unlink(missing_ok=True)
    for number, crop in zip(indices, faces.crops):
        bgr = cv2.cvtColor(crop, cv2.COLOR_RGB2BGR)
        _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        (folder / f"{number:06d}.jpg").write_bytes(data.tobytes())
    with atomic_path(folder / FACES_FILE) as partial:
        partial.write_text(json.dumps(fields))
