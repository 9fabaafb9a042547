"""DFDC preview (Dolhansky et al. 2019): `dataset.json` lists all files with their labels and sets.

The videos are in `original_videos/…`, `method_A/…` and `method_B/…`. An entry of `dataset.json` has
a `label` (real or fake), a `set` (train or test; there is no validation set) and usually the actors
`target_id` and `swapped_id`.
"""

from pathlib import Path, PurePosixPath
from typing import Any

from dfjax import FAKE, REAL
from dfjax.data.index.adapters.foreign import read_json, safe_path
from dfjax.data.index.adapters.listing import (
    ABSENT,
    REFUSED,
    UNLABELLED,
    Listing,
    Problem,
    keep_pairs,
    shorten,
)
from dfjax.data.index.adapters.walk import file_key, find_media
from dfjax.data.index.records import SPLITS, make_record
from dfjax.errors import InputError, UsageError

DATASET = "dfdcp"
LABELS = {"real": REAL, "fake": FAKE}


def list_dfdcp(root: Path) -> Listing:
    """Returns the rows of the DFDC preview.

    The `group` is the target actor; the official sets have no actor in common. The pair of a fake
    is the `original` of its entry, if it has one.

    Args:
        root: Folder that holds `dataset.json`.

    Raises:
        UsageError: `dataset.json` is missing or unreadable.
    """
    file = root / "dataset.json"
    if not file.is_file():
        raise UsageError(f"{file} is missing; it holds the labels and the split of all videos")
    files = {file_key(f): f for f in find_media(root)}
    rows, problems, taken = [], [], set()
    for name, entry in read_json(file).items():
        try:
            path = safe_path(name)
            fields = _describe(path, entry if isinstance(entry, dict) else {})
        except InputError as error:
            problems.append(Problem(REFUSED, f"{DATASET}/{name}", name, f"dataset.json: {error}"))
            continue
        found = files.get(file_key(path))
        if found is None:
            reason = "is listed in dataset.json but missing"
            problems.append(Problem(ABSENT, fields["video_id"], path, reason))
        elif found in taken:
            reason = "is listed twice in dataset.json"
            problems.append(Problem(REFUSED, fields["video_id"], path, reason))
        else:
            taken.add(found)
            rows.append(make_record(**fields, root=str(root.resolve()), path=found))
    for found in sorted(set(files.values()) - taken):
        reason = "is not listed in dataset.json, so its label is unknown"
        problems.append(Problem(UNLABELLED, f"{DATASET}/{found}", found, reason))
    alone = keep_pairs(rows)
    notes = [f"{len(alone)} fakes have no original here: {shorten(alone)}"] if alone else []
    return Listing(rows, notes, problems)


def _describe(path: str, entry: dict[str, Any]) -> dict[str, Any]:
    label = str(entry.get("label")).casefold()
    if label not in LABELS:
        raise InputError(f"the label is {entry.get('label')!r}, neither real nor fake")
    split = str(entry.get("set", "none")).casefold()
    if split not in SPLITS:
        raise InputError(f"the set is {entry.get('set')!r}, not train, val, test or none")
    target, donor = entry.get("target_id"), entry.get("swapped_id")
    fake = LABELS[label] == FAKE
    original = entry.get("original")
    return {
        "video_id": _video_id(path),
        "dataset": DATASET,
        "label": LABELS[label],
        "method": path.split("/")[0] if fake else "real",
        "split": split,
        "target_id": None if target is None else str(target),
        "donor_ids": [str(donor)] if fake and donor is not None else [],
        "group": None if target is None else f"{DATASET}/{target}",
        "pair_id": _video_id(safe_path(original)) if fake and original else None,
    }


def _video_id(path: str) -> str:
    parts = [part for part in PurePosixPath(path).with_suffix("").parts if part != "videos"]
    return "/".join([DATASET, *parts])
