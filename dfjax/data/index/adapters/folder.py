"""Lists folders with `real/` and `fake/` inside, with or without `train/ val/ test/` above them.

If file names determine the class instead, a pattern selects the fakes.
"""

import fnmatch
import functools
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from dfjax import FAKE, REAL
from dfjax.data.faces.media_files import describe_skipped, is_media, is_video
from dfjax.data.index.adapters.frame_folders import describe_frames, find_frame_folders
from dfjax.data.index.adapters.listing import Listing, Row
from dfjax.data.index.adapters.walk import find_files, find_media
from dfjax.data.index.records import make_record
from dfjax.data.index.splits import PARTS as SPLITS
from dfjax.data.index.splits import RATIOS, check_ratios
from dfjax.errors import UsageError

CLASSES = ((REAL, "real"), (FAKE, "fake"))
Find = Callable[[Path, list[Path]], dict[str, dict[str, Any]]]
"""`find(folder, apart)` returns a dict from the relative path of each video to index columns.

Links into the folders `apart` (those of the other class) are not followed.
"""


def list_folder(
    root: Path,
    *,
    dataset: str | None = None,
    ratios: Sequence[float] | None = None,
    seed: int = 0,
    fake_pattern: str | None = None,
) -> Listing:
    """Returns the rows of the videos and images below `real/` and `fake/`.

    The first folder below `fake/` is the method (`fake/faceswap/…`); without one, the method is
    `fake`. A fake with the same file name as exactly one real video is assumed to be made from it:
    both are a pair in one group, and so stay in one split. If `train/`, `val/` and `test/` hold
    `real/` and `fake/`, they are the splits. Otherwise whole groups are assigned by `ratios`,
    separately for each class, in the order of a hash of (seed, group).

    Args:
        root: Folder of the data set.
        dataset: Name of the data set in the index. The default is the folder's name.
        ratios: Relative sizes of train, val and test. The default is 0.8, 0.1, 0.1.
        seed: Seed of the order in which groups are assigned.
        fake_pattern: Pattern that the paths of fakes match; all other videos are real, and folders
            `real/` and `fake/` are not needed. It is a part of the path, a glob (`*_fake.mp4`), or
            a regular expression if it contains one of `^ $ ( | +`, a backslash or `.*`.

    Raises:
        UsageError: A class has no videos, or `ratios` are given although folders are the splits.
    """
    listing = _list_videos(root, dataset, ratios, seed, fake_pattern, _find_files)
    images = sum(not is_video(row["path"]) for row in listing.rows)
    if images:
        listing.notes.append(
            f"{images} images are read as videos of one frame; if folders of images are videos, "
            "use the adapter frames"
        )
    others = find_files(root, lambda name: not is_media(name))
    if skipped := describe_skipped(PurePosixPath(file).name for file in others):
        listing.notes.append(skipped)
    return listing


def list_frames(
    root: Path,
    *,
    dataset: str | None = None,
    ratios: Sequence[float] | None = None,
    seed: int = 0,
    fake_pattern: str | None = None,
) -> Listing:
    """Returns the rows of videos that are folders of face crops; otherwise like `list_folder`.

    An image directly in `real/` or `fake/` is a video of one frame.

    Args:
        root: Folder of the data set.
        dataset: Name of the data set in the index. The default is the folder's name.
        ratios: Relative sizes of train, val and test. The default is 0.8, 0.1, 0.1.
        seed: Seed of the order in which groups are assigned.
        fake_pattern: Pattern that the folders of fakes match (see `list_folder`).

    Raises:
        UsageError: A class has no videos, or `ratios` are given although folders are the splits.
    """
    return _list_videos(root, dataset, ratios, seed, fake_pattern, _find_folders)


def _list_videos(
    root: Path,
    dataset: str | None,
    ratios: Sequence[float] | None,
    seed: int,
    fake_pattern: str | None,
    find: Find,
) -> Listing:
    if ratios is not None:
        check_ratios(ratios)
    name = dataset or root.resolve().name
    splits = [split for split in SPLITS if (root / split).is_dir()]
    if splits and ratios is not None:
        raise UsageError(f"{root} has the splits {', '.join(splits)} as folders: do not set ratios")
    rows = [
        r for split in splits or [""] for r in _list_split(root, split, name, fake_pattern, find)
    ]
    for label, folder in CLASSES:
        if all(row["label"] != label for row in rows):
            where = f"in {folder}/" if fake_pattern is None else f"that are {folder} by the pattern"
            raise UsageError(f"{root} holds no videos or images {where}")
    notes = _pair_up(rows)
    assign = None
    if not splits:
        assign = functools.partial(assign_splits, ratios=ratios or RATIOS, seed=seed)
        assign(rows)
        parts = ", ".join(f"{s} {r:g}" for s, r in zip(SPLITS, ratios or RATIOS))
        notes.append(f"no train/ val/ test/ folders: groups are split by the ratios {parts}")
    return Listing(rows, notes, [], assign)


def assign_splits(rows: list[Row], ratios: Sequence[float], seed: int) -> None:
    """Sets `split` of the rows: whole groups are assigned in hashed order.

    Groups of real videos, of fakes, and of both are divided separately. If there are enough groups
    of a kind, every split with a positive ratio gets at least one.

    Args:
        rows: Rows of the index.
        ratios: Relative sizes of train, val and test.
        seed: Seed of the order of the groups.
    """
    kinds: dict[str, set[int]] = {}
    for row in rows:
        kinds.setdefault(row["group"], set()).add(row["label"])
    chosen: dict[str, str] = {}
    for kind in ({REAL}, {FAKE}, {REAL, FAKE}):
        groups = sorted((g for g in kinds if kinds[g] == kind), key=lambda g: _hash(seed, g))
        names = [s for s, n in zip(SPLITS, _quotas(len(groups), ratios)) for _ in range(n)]
        chosen |= dict(zip(groups, names))
    for row in rows:
        row["split"] = chosen[row["group"]]


def _quotas(n: int, ratios: Sequence[float]) -> list[int]:
    """Returns the sizes of the splits of `n` groups, at least 1 each if there are enough."""
    total = sum(ratios)
    least = [int(r > 0 and n >= sum(q > 0 for q in ratios)) for r in ratios]
    counts = [max(low, round(n * r / total)) for low, r in zip(least, ratios)]
    while (excess := sum(counts) - n) != 0:
        largest = max(range(3), key=lambda i: counts[i] if excess > 0 else ratios[i])
        counts[largest] -= 1 if excess > 0 else -1
    return counts


def _hash(seed: int, group: str) -> str:
    return hashlib.sha256(f"{seed}:{group}".encode(errors="surrogateescape")).hexdigest()


def _list_split(
    root: Path, split: str, dataset: str, fake_pattern: str | None, find: Find
) -> list[Row]:
    if fake_pattern is None:
        places = [(label, PurePosixPath(split, folder)) for label, folder in CLASSES]
        is_fake = None
    else:
        places, is_fake = [(REAL, PurePosixPath(split))], make_matcher(fake_pattern)
    rows = []
    for label, place in places:
        apart = [root / other for _, other in places if other != place]
        videos = find(root / place, apart) if (root / place).is_dir() else {}
        stems = Counter(_stem(file) for file in videos)
        for file, fields in videos.items():
            kind = int(is_fake(file)) if is_fake else label
            unique = (
                _stem(file) if stems[_stem(file)] == 1 else file
            )  # the suffix is kept where a.mp4 and a.avi exist
            inner = PurePosixPath(file).parts
            fake_method = inner[0] if len(inner) > 1 and is_fake is None else "fake"
            rows.append(
                make_record(
                    video_id=str(PurePosixPath(dataset, place, unique)),
                    dataset=dataset,
                    label=kind,
                    method=fake_method if kind == FAKE else "real",
                    split=split or "none",
                    root=str(root.resolve()),
                    path=str(place / file),
                    **fields,
                )
            )
    return rows


def make_matcher(pattern: str) -> Callable[[str], bool]:
    """Returns a function from a path to whether it matches the pattern.

    Args:
        pattern: A part of the path, a glob, or a regular expression (see `list_folder`).

    Raises:
        UsageError: The pattern is an invalid regular expression.
    """
    if re.search(r"[\^$(|+\\]|\.\*", pattern):
        try:
            expression = re.compile(pattern)
        except re.error as error:
            raise UsageError(f"fake_pattern {pattern!r} is not valid: {error}") from error
        return lambda path: expression.search(path) is not None
    if not re.search(r"[*?[]", pattern):
        return lambda path: pattern in path
    return lambda path: any(
        fnmatch.fnmatchcase(text, pattern) for text in (path, path.rsplit("/", 1)[-1])
    )


def _find_files(folder: Path, apart: list[Path]) -> dict[str, dict[str, Any]]:
    return {file: {} for file in find_media(folder, apart)}


def _find_folders(folder: Path, apart: list[Path]) -> dict[str, dict[str, Any]]:
    base = folder.resolve()
    found: dict[str, dict[str, Any]] = {}
    for inner, names in find_frame_folders(folder, apart).items():
        if inner == ".":
            found |= {name: describe_frames(base, [name]) for name in names}
        else:
            found[inner] = describe_frames(base / inner, names)
    return found


def _pair_up(rows: list[Row]) -> list[str]:
    reals: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row["label"] == REAL:
            reals.setdefault(_pair_key(row), []).append(row["video_id"])
    pairs = 0
    for row in rows:
        same = reals.get(_pair_key(row), [])
        if row["label"] == FAKE and len(same) == 1:
            row["pair_id"] = row["group"] = same[0]
            pairs += 1
    return [f"{pairs} fakes are paired with the real video of the same name"] if pairs else []


def _pair_key(row: Row) -> tuple[str, str]:
    return row["split"], _stem(PurePosixPath(row["path"]).name)


def _stem(path: str) -> str:
    """Returns a path without the suffix of a media file. A folder such as `id0.a` is unchanged."""
    return str(PurePosixPath(path).with_suffix("")) if is_media(path) else path
