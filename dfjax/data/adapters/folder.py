"""Any folder with `real/` and `fake/` inside, with or without `train/ val/ test/` above them."""

import hashlib
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

from dfjax import FAKE, REAL
from dfjax.data.adapters.walk import find_media
from dfjax.data.records import make_record
from dfjax.errors import UsageError

SPLITS = ("train", "val", "test")
RATIOS = (0.8, 0.1, 0.1)


def list_folder(
    root: Path,
    *,
    dataset: str | None = None,
    ratios: tuple[float, float, float] | None = None,
    seed: int = 0,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Returns the rows of the videos and images below `real/` and `fake/`, and notes for the user.

    A first folder below `fake/` names the method (`fake/faceswap/…`), else it is `fake`. A fake
    that carries the file name of exactly one real is taken as made from it: they are a pair, share
    a group, and so stay in one split. Where `train/`, `val/` and `test/` hold `real/` and `fake/`
    they are the splits; otherwise whole groups are dealt out by `ratios`, in the order of a hash
    of (seed, group), the classes apart.

    Args:
        root: the folder.
        dataset: its name in the index; default the folder's.
        ratios: of train, val and test; default 0.8, 0.1, 0.1.
        seed: of the dealing.

    Raises:
        UsageError: a class is missing, or ratios are given where folders are the splits.
    """
    name = dataset or root.resolve().name
    splits = [split for split in SPLITS if (root / split).is_dir()]
    if splits and ratios is not None:
        raise UsageError(
            f"{root} has the splits {', '.join(splits)} as folders: leave --ratios out"
        )
    rows = [row for split in splits or [""] for row in _list_split(root, split, name)]
    for label, folder in ((REAL, "real"), (FAKE, "fake")):
        if all(row["label"] != label for row in rows):
            raise UsageError(f"{root} holds no videos or images in {folder}/")
    notes = _pair_up(rows)
    if not splits:
        deal_splits(rows, ratios or RATIOS, seed)
        parts = ", ".join(f"{s} {r:g}" for s, r in zip(SPLITS, ratios or RATIOS))
        notes.append(f"no train/ val/ test/ folders: dealt out by group, {parts} (--ratios)")
    return rows, notes


def deal_splits(rows: list[dict[str, Any]], ratios: tuple[float, float, float], seed: int) -> None:
    """Sets `split` of the rows: groups of a class mix, in hashed order, cut at the ratios.

    Every split with a positive ratio gets a group of each kind as far as there are enough.
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


def _quotas(n: int, ratios: tuple[float, float, float]) -> list[int]:
    """Returns how many of `n` go to each split: rounded, at least one where there are enough."""
    total = sum(ratios)
    least = [int(r > 0 and n >= sum(q > 0 for q in ratios)) for r in ratios]
    counts = [max(low, round(n * r / total)) for low, r in zip(least, ratios)]
    while (excess := sum(counts) - n) != 0:
        largest = max(range(3), key=lambda i: counts[i] if excess > 0 else ratios[i])
        counts[largest] -= 1 if excess > 0 else -1
    return counts


def _hash(seed: int, group: str) -> str:
    return hashlib.sha256(f"{seed}:{group}".encode(errors="surrogateescape")).hexdigest()


def _list_split(root: Path, split: str, dataset: str) -> list[dict[str, Any]]:
    rows = []
    for folder, label in (("real", REAL), ("fake", FAKE)):
        place = PurePosixPath(split, folder)
        files = find_media(root / place) if (root / place).is_dir() else []
        stems = Counter(str(PurePosixPath(file).with_suffix("")) for file in files)
        for file in files:
            inner = PurePosixPath(file)
            stem = str(inner.with_suffix(""))
            unique = stem if stems[stem] == 1 else file  # a.mp4 beside a.avi keep their suffixes
            fake_method = inner.parts[0] if len(inner.parts) > 1 else "fake"
            rows.append(
                make_record(
                    video_id=str(PurePosixPath(dataset, place, unique)),
                    dataset=dataset,
                    label=label,
                    method=fake_method if label == FAKE else "real",
                    split=split or "none",
                    root=str(root.resolve()),
                    path=str(place / file),
                )
            )
    return rows


def _pair_up(rows: list[dict[str, Any]]) -> list[str]:
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
    return [f"{pairs} fakes are paired with the real of the same file name"] if pairs else []


def _pair_key(row: dict[str, Any]) -> tuple[str, str]:
    return row["split"], PurePosixPath(row["path"]).stem
