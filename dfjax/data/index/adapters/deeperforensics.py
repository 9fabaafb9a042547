"""DeeperForensics-1.0 (Jiang et al. 2020): fakes on FaceForensics++'s videos.

`manipulated_videos/VARIANT/TARGET_ACTOR.mp4`; `lists/splits/{train,val,test}.txt` name fakes only.
**`source_videos/` are the actors' recordings and not the real class**: by the data set's own
README the reals are FaceForensics++'s c23 videos, which have the target's three digits.
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
    """Returns the rows of DeeperForensics-1.0: fakes only, one method per variant.

    `pair_id` names the target's video in FaceForensics++ at c23, to be merged in with `dfjax data
    merge`; identities are its `ffpp/TARGET` and the actor. `group` is the actor, by whom the
    official splits are made.

    Args:
        root: the folder with `manipulated_videos/` and `lists/`.

    Raises:
        UsageError: no `manipulated_videos/` or no lists.
    """
    folder = root / "manipulated_videos"
    if not folder.is_dir():
        raise UsageError(f"{root} has no manipulated_videos/: give the folder that holds it")
    splits = _read_splits(root)
    rows: dict[str, Row] = {}
    problems = []
    for file in find_media(folder):
        path = f"manipulated_videos/{file}"
        row = _make_row(path, splits)
        if row is None or row["video_id"] in rows:
            reason = "no name of a target and an actor" if row is None else "is there twice"
            problems.append(Problem(REFUSED, f"{DATASET}/{file}", path, reason))
            continue
        rows[row["video_id"]] = row | {"root": str(root.resolve())}
        if row["split"] == "none":
            reason = "in none of the lists of splits"
            problems.append(Problem(UNLISTED, row["video_id"], path, reason))
    for variant in sorted({row["method"] for row in rows.values()}):
        for stem, split in splits.items():
            video_id = f"{DATASET}/{variant}/{stem}"
            if video_id not in rows:
                problems.append(Problem(ABSENT, video_id, "", f"listed in {split}.txt but absent"))
    notes = [
        "the real class is FaceForensics++'s c23 videos: index them with the adapter ffpp, then "
        "`dfjax data merge`"
    ]
    if (root / "source_videos").is_dir():
        notes.append("source_videos/ are left aside: they are recordings of actors, not reals")
    return Listing(list(rows.values()), notes, problems)


def _read_splits(root: Path) -> dict[str, str]:
    splits = {}
    for split in ("train", "val", "test"):
        file = root / "lists" / "splits" / f"{split}.txt"
        if not file.is_file():
            raise UsageError(f"{file} is missing: it is part of the data set's lists.zip")
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
