"""TFDS data sets of labelled videos or images, read without TensorFlow.

`tfds:NAME` is searched for below the root in the layout of TFDS, `NAME/[CONFIG/]VERSION/`. An
example has a `label` and its frames: one image or a sequence of images, as arrays or encoded.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dfjax import FAKE, REAL
from dfjax.data.index.adapters.foreign import safe_path
from dfjax.data.index.adapters.listing import REFUSED, Listing, Problem, Row
from dfjax.data.index.records import make_record
from dfjax.errors import InputError, UsageError
from dfjax.files import atomic_path

SPLITS = {"train": "train", "validation": "val", "val": "val", "valid": "val", "test": "test"}
FRAMES = ("frames", "video", "clip", "images", "faces", "crops", "image", "face")
TEXTS = ("method", "target_id", "origin_id", "group", "pair_id", "compression")
SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg"}


def list_tfds(root: Path, *, name: str, out: Path) -> Listing:
    """Returns the rows of a TFDS data set and writes its frames below `out`, ready for `data pack`.

    Features named like columns of the index (`video_id method target_id origin_id group pair_id
    compression frame_indices`) are copied to the index. Examples with the same `video_id` are
    consecutive parts of one video.

    Args:
        root: Data folder of TFDS.
        name: Name of the data set, with its config if it has several.
        out: Folder of the index.

    Raises:
        UsageError: The data set does not exist, or it has no label or no frames.
    """
    from dfjax.data.index.adapters.tfds_files import open_set

    folder = _find_folder(root, name)
    found = open_set(folder, ("label", *TEXTS, "video_id", "frame_indices"), FRAMES)
    labels = _read_labels(found.label_names, folder)
    rows: dict[str, Row] = {}
    problems: list[Problem] = []
    for split, records in found.splits.items():
        for number in range(len(records)):
            default = f"{name}/{split}/{number:06d}"
            try:
                example = records[number]
                fields = _describe(example, default, name, split, labels)
                _add(rows, fields, example, found.frames, out)
            except InputError as error:
                problems.append(Problem(REFUSED, default, str(folder), str(error)))
    notes = [f"{folder} has the splits {', '.join(found.splits)}"]
    if found.label_names is None:
        notes.append("its labels are numbers without names: 1 is read as fake")
    return Listing(list(rows.values()), notes, problems)


def _find_folder(root: Path, name: str) -> Path:
    place = root / safe_path(name.replace(":", "/"))
    found = sorted(path.parent for path in place.rglob("dataset_info.json"))
    if not found:
        raise UsageError(f"no TFDS data set {name} in {root}: {place}/…/VERSION/ does not exist")
    configs = {path.parent for path in found}
    if len(configs) > 1:
        names = ", ".join(str(path.relative_to(root)) for path in sorted(configs))
        raise UsageError(f"{name} has several configs; choose one of {names}")
    return max(found, key=_version)


def _version(folder: Path) -> tuple[int, ...]:
    return tuple(int(part) if part.isdecimal() else -1 for part in folder.name.split("."))


def _read_labels(names: list[str] | None, folder: Path) -> dict[int, int]:
    """Returns a dict from the label number of an example to REAL or FAKE."""
    if names is None:
        return {0: REAL, 1: FAKE}
    known = {"real": REAL, "fake": FAKE}
    if any(name.casefold() not in known for name in names):
        raise UsageError(f"{folder} has the classes {', '.join(names)}, not real and fake")
    return {number: known[name.casefold()] for number, name in enumerate(names)}


def _describe(
    example: Mapping[str, Any], default: str, name: str, split: str, labels: dict[int, int]
) -> dict[str, Any]:
    number = example["label"]
    if not isinstance(number, int) or number not in labels:
        raise InputError(f"the label is {number!r:.40}, not 0 or 1")
    texts = {column: _text(example.get(column)) for column in (*TEXTS, "video_id")}
    fields = {k: v for k, v in texts.items() if v}
    label = labels[number]
    fields["method"] = "real" if label == REAL else fields.get("method", "fake")
    return {
        "video_id": default,
        **fields,
        "dataset": name.split("/")[0].split(":")[0],
        "label": label,
        "split": SPLITS.get(split, "none"),
    }


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")


def _add(
    rows: dict[str, Row], fields: dict[str, Any], example: Mapping[str, Any], key: str, out: Path
) -> None:
    """Writes the frames of an example and adds its row, or extends the row of its video."""
    video_id = fields["video_id"]
    place = Path("frames", safe_path(video_id))
    frames = list(_encode(example[key]))
    if not frames:
        raise InputError("has no frames")
    old = rows.get(video_id)
    start = old["frame_indices"][-1] + 1 if old else 0
    given = np.atleast_1d(example.get("frame_indices", ()))
    known = given.shape == (len(frames),) and given.dtype.kind in "iu"
    known = known and bool(np.all(np.diff(given, prepend=start - 1, append=2**31) > 0))
    indices = given.tolist() if known else list(range(start, start + len(frames)))
    names = [f"{index:06d}{suffix}" for index, (suffix, _) in zip(indices, frames)]
    for file, (_, data) in zip(names, frames):
        with atomic_path(out / place / file) as partial:
            partial.write_bytes(data)
    if old is None:
        spot = {"root": str(out.resolve()), "path": place.as_posix()}
        row = make_record(**fields, **spot, frames_dir=place.as_posix(), frame_indices=[])
        old = rows[video_id] = row | {"frame_names": []}
    old["frame_indices"] += indices
    old["frame_names"] += names


def _encode(value: Any) -> Iterator[tuple[str, bytes]]:
    """Yields the file suffix and the encoded bytes of every image in a feature."""
    if isinstance(value, np.ndarray) and value.ndim == 3 and value.dtype == np.uint8:
        value = [value]
    if not isinstance(value, bytes | list | np.ndarray):
        raise InputError("its frames are neither uint8 images nor encoded images")
    for image in [value] if isinstance(value, bytes) else value:
        if isinstance(image, bytes):
            suffix = next((s for head, s in SUFFIXES.items() if image.startswith(head)), None)
            if suffix is None:
                raise InputError("its frames are encoded, but not as PNG or JPEG")
            yield suffix, image
        elif getattr(image, "dtype", None) == np.uint8 and image.ndim == 3 and image.size:
            if image.shape[2] not in (1, 3):
                raise InputError(f"its frames have {image.shape[2]} channels")
            coded = image if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
            yield ".png", cv2.imencode(".png", coded)[1].tobytes()
        else:
            raise InputError("its frames are neither uint8 images nor encoded images")
