"""DeeperForensics-1.0 (Jiang et al. 2020): fakes made from the videos of FaceForensics++.

The files are `manipulated_videos/VARIANT/TARGET_ACTOR.mp4`. `lists/splits/{train,val,test}.txt`
list fakes only. **`source_videos/` are recordings of the actors and not the real class.** According
to the README of the data set, the real videos are those of FaceForensics++ at c23, named by the
three digits of the target.
"""

import re
from pathlib import Path, PurePosixPath

from dfjax import FAKE
from dfjax.data.index.adapters.ffpp import describe_real
from dfjax.data.index.adapters.foreign import read_text
from dfjax.data.index.adapters.listing import (
    ABSENT,
    REFUSED,
    UNLISTED,
    Listing,
    Problem,
    Row,
)
from dfjax.data.index.adapters.walk import find_media
from dfjax.data.index.records import make_record
from dfjax.errors import UsageError

DATASET = "deeperforensics"
NAME = re.compile(r"(\d{3})_([A-Za-z]\d{3})")


def list_deeperforensics(root: Path) -> Listing:
    """Returns the rows of DeeperForensics-1.0: fakes only, with one method per variant.

    `pair_id` names the target's video in FaceForensics++ at c23, which `dfjax data merge` adds. The
    identities are `ffpp/TARGET` and the actor. The `group` is the actor, as in the official splits.

    Args:
        root: Folder that holds `manipulated_videos/` and `lists/`.

    Raises:
        UsageError: `manipulated_videos/` or a list is missing.
    """
    folder = root / "manipulated_videos"
    if not folder.is_dir():
        raise UsageError(f"{root} does not hold the folder manipulated_videos/")
    splits = _read_splits(root)
    rows: dict[str, Row] = {}
    problems = []
    for file in find_media(folder):
        path = f"manipulated_videos/{file}"
        row = _make_row(path, splits)
        if row is None or row["video_id"] in rows:
            reason = "is not named TARGET_ACTOR" if row is None else "occurs twice"
            problems.append(Problem(REFUSED, f"{DATASET}/{file}", path, reason))
            continue
        rows[row["video_id"]] = row | {"root": str(root.resolve())}
        if row["split"] == "none":
            reason = "is in none of the lists of splits"
            problems.append(Problem(UNLISTED, row["video_id"], path, reason))
    for variant in sorted({row["method"] for row in rows.values()}):
        for stem, split in splits.items():
            video_id = f"{DATASET}/{variant}/{stem}"
            if video_id not in rows:
                reason = f"is listed in {split}.txt but missing"
                problems.append(Problem(ABSENT, video_id, "", reason))
    notes = [
        "the real class are the c23 videos of FaceForensics++: index them with the adapter ffpp "
        "and add them with `dfjax data merge`"
    ]
    if (root / "source_videos").is_dir():
        notes.append("source_videos/ is ignored: it holds recordings of actors, not real videos")
    return Listing(list(rows.values()), notes, problems)


def _read_splits(root: Path) -> dict[str, str]:
    splits = {}
    for split in ("train", "val", "test"):
        file = root / "lists" / "splits" / f"{split}.txt"
        if not file.is_file():
            raise UsageError(f"{file} is missing; it is part of lists.zip of the data set")
        for line in read_text(file).split():
            splits[PurePosixPath(line.replace("\\", "/")).stem] = split
    return splits


def _make_row(path: str, splits: dict[str, str]) -> Row | None:
    parts = [part for part in PurePosixPath(path).parts if part != "videos"]
    stem = PurePosixPath(path).stem
    name = NAME.fullmatch(stem)
    if name is None or len(parts) != 3:
        return None
    target, actor = name.groups()
    return make_record(
        video_id=f"{DATASET}/{parts[1]}/{stem}",
        dataset=DATASET,
        label=FAKE,
        method=parts[1],
        split=splits.get(stem, "none"),
        target_id=target,
        donor_ids=[actor],
        identities=[f"ffpp/{target}", f"{DATASET}/{actor}"],
        group=f"{DATASET}/{actor}",
        pair_id=describe_real(target, "c23")["video_id"],
        path=path,
    )
