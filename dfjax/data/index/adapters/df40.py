"""DF40 (Yan et al. 2024): forty manipulation methods, published as face crops.

`METHOD/{ff,cdf}/…` holds fakes made from FaceForensics++ and Celeb-DF, without the real videos.
`METHOD/{fake,real}/…` holds nine methods of unknown origin with their own real videos. Folders
named `train` or `…_train` are for training; all others form the published test set. The adapter
`deepfakebench` reads the JSON files of DF40.
"""

import re
from pathlib import Path, PurePosixPath
from typing import Any

from dfjax import FAKE, REAL
from dfjax.data.index.adapters.frame_folders import describe_frames, find_frame_folders
from dfjax.data.index.adapters.listing import Listing, Row
from dfjax.data.index.records import make_record
from dfjax.errors import UsageError

DATASET = "df40"
DOMAINS = ("ff", "cdf", "fake", "real")
LEVELS = (*DOMAINS, "frames", "videos")  # folders with these names are not videos themselves
TRAIN = re.compile(r"(?:.*[_-])?train(?:ing)?", re.IGNORECASE)
FF_NAME = re.compile(r"(\d{3})(?:_(\d{3}))?")
CDF_NAME = re.compile(r"(id\d+)_(?:(id\d+)_)?\d+")


def list_df40(root: Path) -> Listing:
    """Returns the rows of DF40 with their face crops, ready for `data pack`.

    A folder of frames is one video. Images that lie directly in a domain's folder are videos of one
    frame. Identities are those of the original data sets.

    Args:
        root: Folder that holds the methods' folders, at any depth.

    Raises:
        UsageError: `root` holds no frames of DF40.
    """
    base = root.resolve()
    rows, aside = [], 0
    for folder, names in find_frame_folders(root).items():
        parts = PurePosixPath(folder).parts
        domain = next((i for i, p in enumerate(parts) if i and p.lower() in DOMAINS), None)
        if domain is None:
            aside += 1
        elif parts[-1].lower() in LEVELS:
            rows += [_make_row(base, parts, domain, [name]) for name in names]
        else:
            rows.append(_make_row(base, parts, domain, names))
    if not rows:
        raise UsageError(f"{root} holds no frames in METHOD/ff, cdf, fake or real/")
    notes = ["DF40 validates on its test videos, so no video is in the split val"]
    if not any(row["label"] == REAL for row in rows):
        notes.append(
            "there are no real videos: DF40 takes them from FaceForensics++ and Celeb-DF; add them "
            "with `dfjax data merge`"
        )
    if aside:
        notes.append(f"{aside} folders of images are in no folder ff, cdf, fake or real: left out")
    return Listing(rows, notes, [])


def _make_row(base: Path, parts: tuple[str, ...], domain: int, names: list[str]) -> Row:
    folder = "/".join(parts)
    single = parts[-1].lower() in LEVELS
    stem = PurePosixPath(names[0]).stem if single else parts[-1]
    above = [part for part in parts[: domain + 1] if not TRAIN.fullmatch(part)]
    real = parts[domain].lower() == "real"
    train = any(TRAIN.fullmatch(part) for part in (base.name, *parts))
    split = "train" if train else "test"
    inner = [part for part in parts[domain + 1 :] if part.lower() not in LEVELS]
    return make_record(
        video_id="/".join([DATASET, split, *above[-2:], *inner, *([stem] if single else [])]),
        dataset=DATASET,
        label=REAL if real else FAKE,
        method="real" if real else parts[domain - 1],
        split=split,
        root=str(base),
        path=f"{folder}/{names[0]}" if single else folder,
        **_people(stem, parts[domain].lower()),
        **describe_frames(base / folder, names),
    )


def _people(stem: str, domain: str) -> dict[str, Any]:
    pattern = {"ff": FF_NAME, "cdf": CDF_NAME}.get(domain)
    name = pattern.fullmatch(stem) if pattern else None
    if name is None:
        return {}
    origin = "ffpp" if domain == "ff" else "celebdf"
    target, donor = name.groups()
    people = [person for person in (target, donor) if person]
    return {
        "target_id": target,
        "donor_ids": people[1:],
        "identities": [f"{origin}/{person}" for person in people],
        "group": f"{DATASET}/{domain}/{target}",
    }
