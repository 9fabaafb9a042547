"""Celeb-DF v1, v2 (Li et al. 2020) and Celeb-DF++ (Li et al. 2025).

The files are `Celeb-real/idA_N.mp4`, `YouTube-real/N.mp4` and `Celeb-synthesis/idA_idB_N.mp4`, with
or without a level `videos/`, in upper or lower case. Celeb-DF++ has the fakes in
`Celeb-synthesis/SCENARIO/METHOD/`. `List_of_testing_videos.txt` has no header. Its flag is **1 for
real and 0 for fake**, the opposite of other data sets. Videos that it does not list are for
training; there is no validation split.
"""

import re
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

from dfjax import FAKE, REAL
from dfjax.data.index.adapters.foreign import read_text, safe_path
from dfjax.data.index.adapters.listing import (
    ABSENT,
    CONFLICT,
    REFUSED,
    Listing,
    Problem,
    Row,
    keep_pairs,
    shorten,
)
from dfjax.data.index.adapters.walk import file_key, find_files, find_media
from dfjax.data.index.records import make_record
from dfjax.errors import InputError, UsageError, unknown

LIST = "List_of_testing_videos.txt"
VARIANTS = ("v1", "v2", "pp")
FOLDERS = {"celeb-real": "Celeb-real", "youtube-real": "YouTube-real"}
FAKES = "celeb-synthesis"
SCENARIOS = ("facereenact", "faceswap", "talkingface")
REAL_NAME = re.compile(r"(id\d+)_(\d+)")
FAKE_NAME = re.compile(r"(id\d+)_(?:(id\d+)_)?(\d+).*")  # Celeb-DF++ adds text after the number
ORIGINAL = "Celeb-DF"  # Celeb-DF++'s folder of the fakes of v2


def list_celebdf(root: Path, *, variant: str | None = None) -> Listing:
    """Returns the rows of a Celeb-DF tree.

    In `idA_idB_N`, A is the person shown (the target) and B the donor of the face. The pair of this
    fake is `Celeb-real/idA_N`. `identities` are `celebdf/idA` in all variants, because these show
    the same people. Official test and training videos share people; `dfjax data split` can make a
    split by identity.

    Args:
        root: Folder that holds `Celeb-real/`.
        variant: `v1`, `v2` or `pp` (Celeb-DF++). With None it is detected: folders of scenarios
            imply `pp`, a root named v1 implies `v1`, and the default is `v2`.

    Raises:
        UsageError: `root` has no such tree or no list of test videos, or `variant` is unknown.
    """
    if variant is not None and variant not in VARIANTS:
        raise unknown("variant of Celeb-DF", variant, VARIANTS)
    files = [f for f in find_media(root) if _class_folder(f) is not None]
    lists = find_files(root, lambda name: name.casefold() == LIST.casefold())
    if not files:
        raise UsageError(f"{root} has no Celeb-real/, YouTube-real/ or Celeb-synthesis/ videos")
    if not lists:
        raise UsageError(f"{root / LIST} is missing; it lists the test videos")
    dataset = f"celebdf_{variant or _find_variant(root, files)}"
    rows: dict[str, Row] = {}
    for file in files:
        fields = parse_path(file, dataset)
        row = make_record(**fields, split="train", root=str(root.resolve()), path=file)
        rows.setdefault(file_key(file), row)
    problems = _read_list(root / lists[0], rows)
    twice = [f for f in files if rows[file_key(f)]["path"] != f]
    problems += [Problem(REFUSED, f"{dataset}/{f}", f, "occurs twice") for f in twice]
    listed = list(rows.values())
    alone = keep_pairs(listed)
    return Listing(listed, _notes(listed, dataset, alone, variant is None), problems)


def parse_path(path: str, dataset: str) -> dict[str, Any]:
    """Returns the fields of a record that follow from a path below the root, without the split.

    Args:
        path: Path of the video relative to the root.
        dataset: Name of the data set, such as `celebdf_v2`.
    """
    folder, stem = _class_folder(path), PurePosixPath(path).stem
    if folder is not None and folder != FAKES:
        name = FOLDERS[folder]
        known = REAL_NAME.fullmatch(stem) if folder == "celeb-real" else None
        return {
            "video_id": f"{dataset}/{name}/{stem}",
            "dataset": dataset,
            "label": REAL,
            "target_id": known[1] if known else None,
            "identities": [f"celebdf/{known[1]}"] if known else [],
            "origin_id": f"{name}/{stem}",
        }
    parts = [p for p in PurePosixPath(path).parts if p.casefold() != "videos"]
    below = parts[[p.casefold() for p in parts].index(FAKES) + 1 : -1] if folder else []
    method = below[-1] if below else ORIGINAL
    names = FAKE_NAME.fullmatch(stem)
    target, donor, rest = names.groups() if names else (None, None, None)
    original = f"Celeb-real/{target}_{rest}" if names else None
    return {
        "video_id": "/".join([dataset, "Celeb-synthesis", *below, stem]),
        "dataset": dataset,
        "label": FAKE,
        "method": method,
        "target_id": target,
        "donor_ids": [donor] if donor else [],
        "identities": [f"celebdf/{p}" for p in dict.fromkeys((target, donor)) if p],
        "origin_id": original,
        "group": f"{dataset}/{original}" if original else None,
        "pair_id": f"{dataset}/{original}" if original else None,
    }


def _class_folder(path: str) -> str | None:
    """Returns which of the three folders holds a file, in lower case, or None."""
    parents = [part.casefold() for part in PurePosixPath(path).parts[:-1]]
    return next((part for part in parents if part in (*FOLDERS, FAKES)), None)


def _find_variant(root: Path, files: list[str]) -> str:
    if any(part in SCENARIOS for f in files for part in f.casefold().split("/")[:-1]):
        return "pp"
    return "v1" if re.search(r"v1(?!\d)", root.resolve().name, re.IGNORECASE) else "v2"


def _read_list(file: Path, rows: dict[str, Row]) -> list[Problem]:
    """Sets the split of listed rows to `test`; returns problems for lines that do not fit."""
    problems = []
    short = {"/".join(key.split("/")[-2:]): row for key, row in rows.items()}
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        if not line.strip():
            continue
        flag, _, rest = line.strip().partition(" ")
        where = f"line {number} of {file.name}"
        try:
            path = safe_path(rest)
            if flag not in ("0", "1"):
                raise InputError(f"the flag is {flag!r}, not 0 or 1")
        except InputError as error:
            problems.append(Problem(REFUSED, rest or line, rest or line, f"{where}: {error}"))
            continue
        key = file_key(path)
        row = rows.get(key) or (short.get(key) if key.count("/") == 1 else None)
        if row is None:
            problems.append(Problem(ABSENT, path, path, f"{where}: the video is missing"))
            continue
        row["split"] = "test"
        if row["label"] != 1 - int(flag):
            reason = f"{where}: flag {flag} (1 is real) contradicts the folder, whose label is kept"
            problems.append(Problem(CONFLICT, row["video_id"], path, reason))
    return problems


def _notes(rows: list[Row], dataset: str, alone: list[str], guessed: bool) -> list[str]:
    splits = Counter(row["split"] for row in rows)
    found = f"; the variant was detected: {dataset}" if guessed else ""
    notes = [f"{splits['test']} videos are test videos by {LIST}, all others train{found}"]
    people: dict[str, set[str]] = {}
    for row in rows:
        for person in row["identities"]:
            people.setdefault(person, set()).add(row["split"])
    both = sorted(person for person, splits in people.items() if len(splits) > 1)
    if both:
        notes.append(f"{len(both)} people are in training and in test videos: {shorten(both)}")
    if alone:
        notes.append(f"{len(alone)} fakes have no real video here: {shorten(alone)}")
    return notes
