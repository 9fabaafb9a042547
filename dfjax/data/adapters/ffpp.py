"""FaceForensics++ (Rössler et al. 2019): its tree, its official splits, its leaks.

`original_sequences/youtube/C/videos/ID.mp4` and
`manipulated_sequences/METHOD/C/videos/TARGET_DONOR.mp4`, C being `raw` (or `c0`), `c23`, `c40`;
`splits/{train,val,test}.json` are lists of id pairs, whose two fakes (both orders) and two reals
belong to the split. `conversion_dict.json` names the recording each sequence was cut from.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dfjax import FAKE, REAL
from dfjax.data.adapters.walk import find_media
from dfjax.data.records import make_record
from dfjax.errors import UsageError, unknown

DATASET = "ffpp"
METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")
COMPRESSIONS = ("raw", "c0", "c23", "c40")
_RATE = f"({'|'.join(COMPRESSIONS)})"  # beside them lie `masks`, which are videos, too
REAL_PATH = re.compile(rf"original_sequences/youtube/{_RATE}/videos/(\d{{3}})\.\w+")
FAKE_PATH = re.compile(rf"manipulated_sequences/(\w+)/{_RATE}/videos/(\d{{3}})_(\d{{3}})\.\w+")


def list_ffpp(
    root: Path, *, compression: str | None = None
) -> tuple[list[dict[str, Any]], list[str]]:
    """Returns the rows of a FaceForensics++ tree, and notes for the user.

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
    if compression is not None and compression not in COMPRESSIONS:
        raise unknown("compression", compression, COMPRESSIONS)
    if not (root / "original_sequences").is_dir() and not (root / "manipulated_sequences").is_dir():
        raise UsageError(
            f"{root} has neither original_sequences/ nor manipulated_sequences/: give the folder "
            "that holds them as --root"
        )
    pairs = _read_splits(root)
    recordings = _read_recordings(root)
    splits = {name: split for split, names in pairs.items() for pair in names for name in pair}
    groups = _connect((p for names in pairs.values() for p in names), recordings)
    rows, other = [], []
    for top in ("original_sequences", "manipulated_sequences"):
        for found in find_media(root / top) if (root / top).is_dir() else ():
            row = _make_row(f"{top}/{found}", splits, recordings, groups)
            if row is None:
                other.append(f"{top}/{found}")
            elif compression in (None, row["compression"]):
                rows.append(row | {"root": str(root.resolve())})
    if not rows:
        at = f" at compression {compression}" if compression else ""
        raise UsageError(f"{root} holds no FaceForensics++ videos{at}")
    present = {row["video_id"] for row in rows}
    for row in rows:
        row["pair_id"] = row["pair_id"] if row["pair_id"] in present else None
    return rows, _notes(rows, other)


def _make_row(
    path: str, splits: dict[str, str], recordings: dict[str, str], groups: dict[str, str]
) -> dict[str, Any] | None:
    """Returns the row of one file, or None where it is no video of FaceForensics++."""
    real, fake = REAL_PATH.fullmatch(path), FAKE_PATH.fullmatch(path)
    if real:
        compression, target = real.groups()
        fields = {"label": REAL, "video_id": f"{DATASET}/youtube/{compression}/{target}"}
        people = [target]
    elif fake and fake[1] in METHODS:
        method, compression, target, donor = fake.groups()
        people = [target, donor]
        fields = {
            "label": FAKE,
            "method": method,
            "video_id": f"{DATASET}/{method}/{compression}/{target}_{donor}",
            "pair_id": f"{DATASET}/youtube/{compression}/{target}",
            "donor_ids": [donor],
        }
    else:
        return None
    among = {splits.get(person, "none") for person in people}
    return make_record(
        **fields,
        dataset=DATASET,
        split=among.pop() if len(among) == 1 else "none",
        target_id=target,
        origin_id=recordings.get(target),
        group=f"{DATASET}/{groups.get(target, target)}",
        path=path,
        compression=compression,
    )


def _read_splits(root: Path) -> dict[str, list[tuple[str, str]]]:
    splits = {}
    for name in ("train", "val", "test"):
        file = root / "splits" / f"{name}.json"
        if not file.is_file():
            raise UsageError(
                f"{file} is missing: copy dataset/splits/ of the FaceForensics repository there"
            )
        try:
            splits[name] = [(str(a), str(b)) for a, b in json.loads(file.read_text())]
        except (ValueError, TypeError) as error:
            raise UsageError(f"{file} is not a list of id pairs: {error}") from error
    return splits


def _read_recordings(root: Path) -> dict[str, str]:
    """Returns sequence id → YouTube id; the file's values are `YOUTUBE_ID NUMBER`."""
    file = root / "conversion_dict.json"
    if not file.is_file():
        return {}
    try:
        return {k: v.rsplit(" ", 1)[0] for k, v in json.loads(file.read_text()).items()}
    except (ValueError, AttributeError) as error:
        raise UsageError(f"{file} is not a table of sequences and recordings: {error}") from error


def _connect(pairs: Iterable[tuple[str, str]], recordings: dict[str, str]) -> dict[str, str]:
    """Returns sequence id → smallest id of its connected component."""
    parent: dict[str, str] = {}

    def find(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            name = parent[name]
        return name

    first: dict[str, str] = {}
    same = [(name, first.setdefault(origin, name)) for name, origin in recordings.items()]
    for a, b in (*pairs, *same):
        low, high = sorted((find(a), find(b)))
        parent[high] = low
    return {name: find(name) for name in parent}


def _notes(rows: list[dict[str, Any]], other: list[str]) -> list[str]:
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
    return notes
