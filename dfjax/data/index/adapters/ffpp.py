"""FaceForensics++ (Rössler et al. 2019): its tree, its official splits, its leaks.

`original_sequences/youtube/C/videos/ID.mp4` and
`manipulated_sequences/METHOD/C/videos/TARGET_DONOR.mp4`, C being `raw` (also spelt `c0`), `c23`,
`c40`, or folders of frames `…/images/ID/`; `splits/{train,val,test}.json` are lists of id pairs,
whose two fakes (both orders) and two reals belong to the split. `conversion_dict.json` names the
recording each sequence was cut from.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dfjax import FAKE, REAL
from dfjax.data.index.adapters.foreign import read_json, read_text
from dfjax.data.index.adapters.listing import PARTIAL, Listing, Problem, Row, keep_pairs
from dfjax.data.index.adapters.walk import find_media
from dfjax.data.index.records import make_record
from dfjax.errors import UsageError, unknown

DATASET = "ffpp"
METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")
COMPRESSIONS = {"raw": "raw", "c0": "raw", "c23": "c23", "c40": "c40"}
RATE = f"({'|'.join(COMPRESSIONS)})"  # beside them lie `masks`, which are videos, too
END = r"(?:\.\w+)?"  # a folder of frames has none
REAL_PATH = re.compile(rf"original_sequences/youtube/{RATE}/(?:videos|images)/(\d{{3}}){END}")
FAKE_PATH = re.compile(
    rf"manipulated_sequences/(\w+)/{RATE}/(?:videos|images)/(\d{{3}})_(\d{{3}}){END}"
)
FRAME = re.compile(r"(.+/images/[^/]+)/[^/]+")
TOPS = ("original_sequences", "manipulated_sequences")


def list_ffpp(root: Path, *, compression: str | None = None) -> Listing:
    """Returns the rows of a FaceForensics++ tree, and what the user should know of it.

    `target_id` is the sequence whose video is shown, `donor_ids` the one whose face or expression
    was put in; `pair_id` is the target's real video at the same compression, where the tree has it.
    `group` joins sequences that a pair of the official splits or a common recording connects. The
    official splits honour the pairs but not the recordings, so a few groups do cross them: the
    splits are kept as published, and a note names the groups.

    Args:
        root: the folder with `original_sequences/` and `manipulated_sequences/`.
        compression: only this one; None takes all that are there.

    Raises:
        UsageError: no FaceForensics++ tree, no split files, or nothing at this compression.
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
        if row is None or row["video_id"] in rows:  # one video under both spellings
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
    """Returns whether `root` holds the two top folders, or one of them."""
    return any((root / top).is_dir() for top in TOPS)


def list_tree(root: Path, compression: str | None) -> list[str]:
    """Returns the videos below the two top folders, relative to `root`.

    A folder of frames `images/NAME/` is a video, unless `videos/` has it, too.

    Raises:
        UsageError: there is no such folder, or no such compression.
    """
    if compression is not None and compression not in COMPRESSIONS:
        raise unknown("compression", compression, COMPRESSIONS)
    if not has_tree(root):
        raise UsageError(
            f"{root} has neither original_sequences/ nor manipulated_sequences/: give the folder "
            "that holds them"
        )
    files = [f"{top}/{f}" for top in TOPS if (root / top).is_dir() for f in find_media(root / top)]
    videos = [file for file in files if not FRAME.fullmatch(file)]
    known = {file.rsplit(".", 1)[0] for file in videos}
    frames = dict.fromkeys(match[1] for file in files if (match := FRAME.fullmatch(file)))
    return videos + [f for f in frames if f.replace("/images/", "/videos/") not in known]


def describe_real(target: str, compression: str) -> dict[str, Any]:
    """Returns the fields of a record that the name of a real sequence tells."""
    video_id = f"{DATASET}/youtube/{compression}/{target}"
    return {"video_id": video_id, "label": REAL, "target_id": target}


def describe_fake(method: str, target: str, donor: str, compression: str) -> dict[str, Any]:
    """Returns the fields of a record that the name of a fake tells."""
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
    """Returns the row of one file, or None where it is no video of FaceForensics++."""
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
    """Sets `mask_path` of the fakes whose mask video is among `others`, and takes it from there."""
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
                f"{file} is missing: copy dataset/splits/ of the FaceForensics repository there"
            )
        try:
            splits[name] = [(str(a), str(b)) for a, b in json.loads(read_text(file))]
        except (ValueError, TypeError) as error:
            raise UsageError(f"{file} is not a list of id pairs: {error}") from error
    return splits


def _read_recordings(root: Path) -> dict[str, str]:
    """Returns sequence id → YouTube id; the file's values are `YOUTUBE_ID NUMBER`."""
    file = root / "conversion_dict.json"
    if not file.is_file():
        file = root / "dataset" / "conversion_dict.json"
    if not file.is_file():
        return {}
    try:
        return {name: value.rsplit(" ", 1)[0] for name, value in read_json(file).items()}
    except AttributeError as error:
        raise UsageError(f"{file} is not a table of sequences and recordings: {error}") from error


def _same_recording(recordings: Mapping[str, str]) -> list[tuple[str, str]]:
    first: dict[str, str] = {}
    return [(name, first.setdefault(origin, name)) for name, origin in recordings.items()]


def connect(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Returns each name's group: the smallest name that it is connected to."""
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
    """Returns what the splits name and the folders that are there lack."""
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
                    reason = f"listed in {split}.json but absent"
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
            f"the official splits cut {len(crossing)} groups apart (videos of one recording in "
            f"two splits): {', '.join(crossing)}"
        )
    aside = Counter("/".join(path.split("/")[:2]) for path in other)
    if aside:
        where = ", ".join(f"{folder} ({n})" for folder, n in sorted(aside.items()))
        notes.append(f"left aside, not part of FaceForensics++'s split: {where}")
    outside = sum(row["split"] == "none" for row in rows)
    if outside:
        notes.append(f"{outside} videos are in no official split (split none)")
    if partial:
        notes.append(f"{len(partial)} videos of the official splits are not in these folders")
    return notes
