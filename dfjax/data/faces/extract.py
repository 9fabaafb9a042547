"""Extracts the face crops of one video to `OUT/crops/VIDEO_ID/%06d.jpg`.

Further faces are in `VIDEO_ID#1`, …. Every face is a row of the index. The row of the first face
has the id of the video. The row of face k has the id `VIDEO_ID#k` and k in the column `face`, which
predictions also have.
"""

import functools
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dfjax.data.faces.crop_codec import encode_crop
from dfjax.data.faces.crops import Cutting, FaceCrops, MakeRank, cut_faces, locate_faces
from dfjax.data.faces.detectors import FaceDetector, make_detector
from dfjax.data.faces.detectors.precomputed import Precomputed
from dfjax.data.faces.faces_file import FACES_FILE, read_faces
from dfjax.data.faces.landmarks import CROP_LANDMARKS
from dfjax.data.faces.manipulation_mask import rank_by_mask
from dfjax.data.faces.mask_crops import are_complete, write_masks
from dfjax.data.faces.quality import QUALITIES, compute_qualities, find_good
from dfjax.data.faces.settings import ExtractionSettings, choose_frames, describe_threshold
from dfjax.data.faces.tracks import make_size_rank
from dfjax.data.faces.video import ShortVideoError
from dfjax.data.index.source import Source, find_source, iterate_source, probe_source
from dfjax.data.index.video_ids import names_folder
from dfjax.errors import InputError, UsageError
from dfjax.files import atomic_path
from dfjax.outputs import check_inside

BUFFER_BYTES = 256 * 2**20  # per worker; holds 32 frames of 1920x1080

Fields = dict[str, Any]


def extract_video(
    path: Path,
    indices: Sequence[int],
    detector: FaceDetector,
    *,
    size: int,
    margin: float = 1.3,
    align: bool = False,
) -> FaceCrops:
    """Returns the crops of one face in the given frames of a video or image.

    Args:
        path: Video or image file.
        indices: Source frame numbers in ascending order.
        detector: Face detector.
        size: Side of the crops in pixels.
        margin: Side of the cropped region relative to the face's box.
        align: Whether the face is aligned by its landmarks.

    Raises:
        InputError: The file cannot be read or aligned, or ends before the last index.
    """
    how = Cutting(size, margin, align)
    return extract_faces(Source((Path(path),)), indices, detector, how)[0]


def extract_faces(
    source: Source,
    indices: Sequence[int],
    detector: FaceDetector,
    how: Cutting,
    *,
    every: bool = False,
    make_rank: MakeRank = make_size_rank,
) -> list[FaceCrops]:
    """Returns the crops of one face or of every face in the given frames.

    If all frames together exceed `BUFFER_BYTES`, the file is decoded twice, to find faces and to
    crop them, with one frame in memory at a time. The crops are the same.

    Args:
        source: Files of the video.
        indices: Source frame numbers in ascending order.
        detector: Face detector.
        how: Settings of cropping.
        every: Whether to return all persistent faces (see `locate_faces`).
        make_rank: Function that makes the ranking of tracks (see `locate_faces`).

    Raises:
        InputError: The video cannot be read or aligned, or ends before the last index.
    """
    frames = iterate_source(source, indices)
    first = next(frames)
    if first.nbytes * len(indices) <= BUFFER_BYTES:
        held = [first, *frames]
        paths = locate_faces(held, detector, every=every, make_rank=make_rank)
        return cut_faces(held, paths, how)
    frames = iterate_source(source, indices)
    paths = locate_faces(frames, detector, every=every, make_rank=make_rank)
    return cut_faces(iterate_source(source, indices), paths, how)


def extract_record(out: str, settings: ExtractionSettings, task: Fields) -> list[Fields]:
    """Writes the crops of one video to its folder; returns the columns of its rows, one per face.

    Args:
        out: Folder of the extraction.
        settings: Settings of the extraction.
        task: Columns of the video's row that are needed to read it.

    Raises:
        InputError: The video cannot be read, has changed since it was indexed, or has no crop that
            reaches the quality thresholds, or a link leads out of `out`.
    """
    source = find_source(task)
    info = probe_source(source)
    if task["sha256"] not in (None, info.sha256):
        raise InputError("the file has changed since it was indexed: run `dfjax data index` again")
    try:
        indices, faces = _extract(settings, task, source, info.n_frames)
    except ShortVideoError as error:  # the stream has frames that cannot be decoded
        info = info._replace(n_frames=error.n_frames)
        indices, faces = _extract(settings, task, source, info.n_frames)
    folder = crops_folder(Path(out), task["video_id"])
    rows, crops, kept = [], [], []
    for face in faces:
        fields, good = _filter(_describe(indices, face), settings)
        if good:
            rows.append(info._asdict() | fields)
            crops.append(face.crops[good])
            kept.append(face)
    if not rows:
        raise InputError(describe_threshold(settings))
    for number, fields in enumerate(rows):
        place = _face_folder(folder, number)
        fields["frames_dir"] = place.relative_to(out).as_posix()
        if settings.faces == "all":
            fields |= {"face": number, "video_id": _face_id(task["video_id"], number)}
    check_inside(folder, out)
    if settings.masks and (mask := _find_mask(task)):
        write_masks(mask, indices, kept, rows, _choose_cutting(settings), Path(out))
    _save(folder, crops, rows, quality=settings.jpeg_quality, every=settings.faces == "all")
    return rows


def load_finished(
    out: Path, video_id: str, sha256: str | None, *, masked: bool = False
) -> list[Fields] | None:
    """Returns the columns of a video's rows if `out` holds its crops, or None.

    Crops of a file whose hash differs from that in the index do not count.

    Args:
        out: Folder of the extraction.
        video_id: The video in the index.
        sha256: Hash in the index, or None if unknown.
        masked: Whether the crops must have masks; otherwise they must have none.
    """
    folder = crops_folder(out, video_id)
    rows = read_faces(folder)
    if rows is None or (sha256 is not None and rows[0]["sha256"] != sha256):
        return None
    for number, row in enumerate(rows):  # the file may come from another folder
        place = _face_folder(folder, number).relative_to(out).as_posix()
        ours = _face_id(video_id, number)
        if row["frames_dir"] != place or row.get("video_id", ours) != ours:
            return None
    if not all(are_complete(out, row) if masked else "mask_dir" not in row for row in rows):
        return None
    return rows if all(_is_complete(out, row) for row in rows) else None


def _is_complete(out: Path, row: Fields) -> bool:
    """Returns whether all crops of a face are on disk."""
    folder = out / row["frames_dir"]
    names = {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()
    return all(f"{frame:06d}.jpg" in names for frame in row["frame_indices"])


def crops_folder(out: Path, video_id: str) -> Path:
    """Returns the folder of the crops of a video, `OUT/crops/VIDEO_ID`.

    Args:
        out: Folder of the extraction.
        video_id: Id of the video.

    Raises:
        UsageError: The id leads outside of `out`.
    """
    if not names_folder(video_id):
        raise UsageError(f"video_id {video_id!r} cannot name a folder")
    return out / "crops" / video_id


def _extract(
    settings: ExtractionSettings, task: Fields, source: Source, n_frames: int
) -> tuple[list[int], list[FaceCrops]]:
    indices = choose_frames(n_frames, frames=settings.frames, every=settings.every)
    if source.numbers is not None:
        indices = [source.numbers[place] for place in indices]
    detector = open_detector(settings.detector, settings.detector_model, settings.min_face)
    if isinstance(detector, Precomputed):
        names = (task["video_id"], Path(task["path"]).as_posix())
        detector = detector.follow(names, indices)
    mask = _find_mask(task) if settings.faces == "mask" else None
    faces = extract_faces(
        source,
        indices,
        detector,
        _choose_cutting(settings),
        every=settings.faces == "all",
        make_rank=make_size_rank if mask is None else rank_by_mask(mask, indices),
    )
    return indices, faces


def _find_mask(task: Fields) -> Path | None:
    return Path(task["root"] or "", task["mask_path"]) if task.get("mask_path") else None


def _choose_cutting(settings: ExtractionSettings) -> Cutting:
    return Cutting(settings.size, settings.margin, settings.align)


@functools.cache
def open_detector(
    name: str, model_path: str | None, min_face: int | None = None
) -> FaceDetector | Precomputed:
    """Returns the face detector of some settings, opened once per process."""
    if name == "precomputed":
        return Precomputed(model_path)
    return make_detector(name, model_path, min_face=min_face)


def _describe(indices: list[int], face: FaceCrops) -> Fields:
    return {
        "frame_indices": indices[face.first : face.first + len(face.crops)],
        "boxes": [[round(float(v), 2) for v in box] for box in face.boxes],
        "landmarks": face.landmarks,
        CROP_LANDMARKS: face.crop_landmarks,
        "face_found": face.found.tolist(),
        **compute_qualities(face.crops, face.boxes, face.landmarks, face.scores),
    }


def _filter(fields: Fields, settings: ExtractionSettings) -> tuple[Fields, list[int]]:
    """Returns the columns of the crops that reach the quality thresholds, and their positions."""
    columns = {name: fields[name] for name in QUALITIES.values()}
    good = find_good(columns, dict(settings.min_quality))
    kept = {
        name: None if values is None else [values[place] for place in good]
        for name, values in fields.items()
    }
    return kept, good


def _face_folder(folder: Path, number: int) -> Path:
    return folder.with_name(_face_id(folder.name, number))


def _face_id(video_id: str, number: int) -> str:
    return f"{video_id}#{number}" if number else video_id


def _save(
    folder: Path, crops: list[np.ndarray], rows: list[Fields], *, quality: int, every: bool
) -> None:
    """Writes the crops and then the faces file, which marks them as complete.

    The folder may hold crops of other videos (`a/b.mp4` beside `a.mp4`), so only files of this
    video are removed.

    Args:
        folder: Folder of the video.
        crops: Crops of each face.
        rows: Columns of each face's row.
        quality: JPEG quality.
        every: Whether every face is cropped. Only then `VIDEO_ID#1`, … are faces of this video
            (see `check_ids`), and otherwise they may be other videos.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for stale in (folder / FACES_FILE, *folder.glob("*.jpg")):
        stale.unlink(missing_ok=True)
    number = 1
    while every and (stale := _face_folder(folder, number)).is_dir():
        if stale.is_symlink():
            stale.unlink()
        else:
            shutil.rmtree(stale)
        number += 1
    for number, (images, fields) in enumerate(zip(crops, rows)):
        place = _face_folder(folder, number)
        place.mkdir(exist_ok=True)
        for frame, image in zip(fields["frame_indices"], images):
            (place / f"{frame:06d}.jpg").write_bytes(encode_crop(image, quality))
    with atomic_path(folder / FACES_FILE) as partial:
        partial.write_text(json.dumps(rows))
