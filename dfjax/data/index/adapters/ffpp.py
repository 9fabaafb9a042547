"""FaceForensics++ (Rössler et al. 2019) with its official splits, some of which share recordings.

The files are `original_sequences/youtube/C/videos/ID.mp4` and
`manipulated_sequences/METHOD/C/videos/TARGET_DONOR.mp4`, where C is `raw` (also called `c0`), `c23`
or `c40`; or folders of frames, `…/images/ID/`. `splits/{train,val,test}.json` are lists of pairs of
ids. The two fakes of a pair (in both orders) and its two real videos belong to the split.
`conversion_dict.json` names the recording that each sequence was cut from.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dfjax import FAKE, REAL
from dfjax.data.index.adapters.foreign import read_json
from dfjax.data.index.adapters.listing import PARTIAL, Listing, Problem, Row, keep_pairs
from dfjax.data.index.adapters.walk import find_media
from dfjax.data.index.records import make_record
from dfjax.errors import UsageError, unknown

DATASET = "ffpp"
METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")
COMPRESSIONS = {"raw": "raw", "c0": "raw", "c23": "c23", "c40": "c40"}
RATE = f"({'|'.join(COMPRESSIONS)})"  # this excludes the folder `masks`, which holds videos, too
END = r"(?:\.\w+)?"  # folders of frames have no suffix
REAL_PATH = re.compile(rf"original_sequences/youtube/{RATE}/(?:videos|images)/(\d{{3}}){END}")
FAKE_PATH = re.compile(
    rf"manipulated_sequences/(\w+)/{RATE}/(?:videos|images)/(\d{{3}})_(\d{{3}}){END}"
)
FRAME = re.compile(r"(.+/images/[^/]+)/[^/]+")
TOPS = ("original_sequences", "manipulated_sequences")


def list_ffpp(root: Path, *, compression: str | None = None) -> Listing:
    """Returns the rows of a FaceForensics++ tree.

    `target_id` is the sequence that is shown and `donor_ids` the sequence that gives the face or
    the expression. `pair_id` is the target's real video at the same compression, if present.
    `group` joins sequences that are connected by pairs of the official splits or by a common
    recording. The official splits keep pairs together but not recordings, so some groups cross
    them. The splits are kept as published, and a note names these groups.

    Args:
        root: Folder that holds `original_sequences/` and `manipulated_sequences/`.
        compression: Compression to list; None lists all compressions found.

    Raises:
        UsageError: `root` has no such tree, no split files, or no videos at this compression.
    """
    pairs = _read_splits(root) if has_tree(root) else {}
    recordings = _read_recordings(root)
    splits = {name: split for split, names in pairs.items() for pair in names for name in pair}
    groups = connect(
        (*(p for names in pairs.values() for p in names), *_same_recording(recordings))
    )
    rows: dict[str, Row] = {}
    other = []
    for path in list_tree(root, compression):
        row = _make_row(path, splits, recordings, groups)
        if row is None or row["video_id"] in rows:  # a video may be in both raw/ and c0/
            other.append(path)
        elif compression is None or COMPRESSIONS[compression] == row["compression"]:
            rows[row["video_id"]] = row | {"root": str(root.resolve())}
    if not rows:
        at = f" at compression {compression}" if compression else ""
        raise UsageError(f"{root} holds no FaceForensics++ videos{at}")
    listed = list(rows.values())
    add_masks(listed, other)
    keep_pairs(listed)
    problems = _find_partial(listed, pairs)
    return Listing(listed, _notes(listed, other, problems), problems)


def has_tree(root: Path) -> bool:
    """Returns whether `root` holds at least one of the two top folders."""
    return any((root / top).is_dir() for top in TOPS)


def list_tree(root: Path, compression: str | None) -> list[str]:
    """Returns the videos below the two top folders, relative to `root`.

    A folder of frames `images/NAME/` is a video, unless `videos/` holds the same video.

    Args:
        root: Folder that holds the top folders.
        compression: Compression that the caller selects, which is only checked here, or None.

    Raises:
        UsageError: There is no such folder, or the compression is unknown.
    """
    if compression is not None and compression not in COMPRESSIONS:
        raise unknown("compression", compression, COMPRESSIONS)
    if not has_tree(root):
        raise UsageError(
            f"{root} has neither original_sequences/ nor manipulated_sequences/; the root must be "
            "the folder that holds them"
        )
    files = [f"{top}/{f}" for top in TOPS if (root / top).is_dir() for f in find_media(root / top)]
    videos = [file for file in files if not FRAME.fullmatch(file)]
    known = {file.rsplit(".", 1)[0] for file in videos}
    frames = dict.fromkeys(match[1] for file in files if (match := FRAME.fullmatch(file)))
    return videos + [f for f in frames if f.replace("/images/", "/videos/") not in known]


def describe_real(target: str, compression: str) -> dict[str, Any]:
    """Returns the fields of a record that follow from the name of a real sequence."""
    video_id = f"{DATASET}/youtube/{compression}/{target}"
    return {"video_id": video_id, "label": REAL, "target_id": target}


def describe_fake(method: str, target: str, donor: str, compression: str) -> dict[str, Any]:
    """Returns the fields of a record that follow from the name of a fake."""
    return {
        "video_id": f"{DATASET}/{method}/{compression}/{target}_{donor}",
        "label": FAKE,
        "method": method,
        "target_id": target,
        "donor_ids": [donor],
        "pair_id": describe_real(target, compression)["video_id"],
    }


def _make_row(
    path: str, splits: dict[str, str], recordings: dict[str, str], groups: dict[str, str]
) -> Row | None:
    """Returns the row of one file, or None if it is not a video of FaceForensics++."""
    real, fake = REAL_PATH.fullmatch(path), FAKE_PATH.fullmatch(path)
    if real:
        compression, target = COMPRESSIONS[real[1]], real[2]
        fields = describe_real(target, compression)
        people = [target]
    elif fake and fake[1] in METHODS:
        method, compression, target, donor = fake[1], COMPRESSIONS[fake[2]], fake[3], fake[4]
        fields = describe_fake(method, target, donor, compression)
        people = [target, donor]
    else:
        return None
    among = {splits.get(person, "none") for person in people}
    return make_record(
        **fields,
        dataset=DATASET,
        split=among.pop() if len(among) == 1 else "none",
        origin_id=recordings.get(target),
        group=f"{DATASET}/{groups.get(target, target)}",
        path=path,
        compression=compression,
    )


def add_masks(rows: list[Row], others: list[str]) -> None:
    """Sets `mask_path` of fakes with a mask video in `others`, and removes it from `others`."""
    masks = {path for path in others if "/masks/videos/" in path}
    for row in rows:
        parts = row["path"].split("/")
        mask = "/".join([*parts[:2], "masks", *parts[3:]])
        if mask in masks:
            row["mask_path"] = mask
    used = {row["mask_path"] for row in rows if row.get("mask_path")}
    others[:] = [path for path in others if path not in used]


def _read_splits(root: Path) -> dict[str, list[tuple[str, str]]]:
    places = (root / "splits", root / "dataset" / "splits", root)
    folder = next((p for p in places if (p / "train.json").is_file()), root / "splits")
    splits = {}
    for name in ("train", "val", "test"):
        file = folder / f"{name}.json"
        if not file.is_file():
            raise UsageError(
                f"{file} is missing; copy dataset/splits/ of the FaceForensics repository there"
            )
        pairs = read_json(file, [[(str, int)]])
        if any(len(pair) != 2 for pair in pairs):
            raise UsageError(f"{file} is not a list of id pairs")
        splits[name] = [(str(a), str(b)) for a, b in pairs]
    return splits


def _read_recordings(root: Path) -> dict[str, str]:
    """Returns a dict from sequence id to YouTube id; values in the file are `YOUTUBE_ID NUMBER`."""
    file = root / "conversion_dict.json"
    if not file.is_file():
        file = root / "dataset" / "conversion_dict.json"
    if not file.is_file():
        return {}
    return {name: value.rsplit(" ", 1)[0] for name, value in read_json(file, {str: str}).items()}


def _same_recording(recordings: Mapping[str, str]) -> list[tuple[str, str]]:
    first: dict[str, str] = {}
    return [(name, first.setdefault(origin, name)) for name, origin in recordings.items()]


def connect(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Returns a dict from each name to its group, the smallest name that it is connected to."""
    parent: dict[str, str] = {}

    def find(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            name = parent[name]
        return name

    for a, b in pairs:
        low, high = sorted((find(a), find(b)))
        parent[high] = low
    return {name: find(name) for name in parent}


def _find_partial(rows: list[Row], pairs: dict[str, list[tuple[str, str]]]) -> list[Problem]:
    """Returns a problem for each video of the splits that the existing folders lack."""
    present = {row["video_id"] for row in rows}
    problems = []
    for method, compression in sorted({(row["method"], row["compression"]) for row in rows}):
        for split, names in pairs.items():
            for a, b in (pair for x, y in names for pair in ((x, y), (y, x))):
                if method == "real":
                    video_id = describe_real(a, compression)["video_id"]
                else:
                    video_id = describe_fake(method, a, b, compression)["video_id"]
                if video_id not in present:
                    reason = f"is listed in {split}.json but missing"
                    problems.append(Problem(PARTIAL, video_id, "", reason))
    return problems


def _notes(rows: list[Row], other: list[str], partial: list[Problem]) -> list[str]:
    notes = []
    spread: dict[str, set[str]] = {}
    for row in rows:
        spread.setdefault(row["group"], set()).add(row["split"])
    crossing = sorted(group for group, splits in spread.items() if len(splits - {"none"}) > 1)
    if crossing:
        notes.append(
            f"the official splits divide {len(crossing)} groups (videos of one recording are in "
            f"two splits): {', '.join(crossing)}"
        )
    aside = Counter("/".join(path.split("/")[:2]) for path in other)
    if aside:
        where = ", ".join(f"{folder} ({n})" for folder, n in sorted(aside.items()))
        notes.append(f"ignored, because not in the splits of FaceForensics++: {where}")
    outside = sum(row["split"] == "none" for row in rows)
    if outside:
        notes.append(f"{outside} videos are in no official split and get the split none")
    if partial:
        notes.append(f"{len(partial)} videos of the official splits are missing in these folders")
    return notes
