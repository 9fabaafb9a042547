"""FFIW-10K (Zhou et al. 2021): real `source/{train,val,test}`, fake `target/…`, `target_mask/…`.

A frame shows several people, of which only some are manipulated. The video in `target_mask/` marks
them; the index names it in `mask_path`.
"""

from pathlib import Path, PurePosixPath

from dfjax import FAKE, REAL
from dfjax.data.index.adapters.listing import REFUSED, Listing, Problem, Row, keep_pairs, shorten
from dfjax.data.index.adapters.walk import file_key, find_media
from dfjax.data.index.records import make_record
from dfjax.errors import UsageError

DATASET = "ffiw"
SPLITS = ("train", "val", "test")


def list_ffiw(root: Path) -> Listing:
    """Returns the rows of FFIW-10K.

    The pair of a fake is the source video with the same name and split.

    Args:
        root: Folder that holds `source/` and `target/`, or its parent.

    Raises:
        UsageError: `source/` or `target/` is missing.
    """
    top = next((p.parent for p in sorted([*root.glob("source"), *root.glob("*/source")])), None)
    if top is None or not (top / "target").is_dir():
        raise UsageError(f"{root} does not hold the folders source/ and target/")
    prefix = "" if top == root else f"{top.relative_to(root).as_posix()}/"
    files = {kind: _find(root, f"{prefix}{kind}") for kind in ("source", "target", "target_mask")}
    masks = {_stem(f): f for f in files["target_mask"]}
    rows: dict[str, Row] = {}
    problems = []
    for kind, label in (("source", REAL), ("target", FAKE)):
        for file in files[kind]:
            split, _, stem = _stem(file).partition("/")
            video_id = f"{DATASET}/{kind}/{split}/{stem}"
            if split not in SPLITS or video_id in rows:
                reason = "occurs twice" if video_id in rows else "is not in train, val or test"
                problems.append(Problem(REFUSED, video_id, file, reason))
                continue
            original = f"{DATASET}/source/{split}/{stem}"
            rows[video_id] = make_record(
                video_id=video_id,
                dataset=DATASET,
                label=label,
                method="ffiw" if label == FAKE else "real",
                split=split,
                origin_id=f"{split}/{stem}",
                group=original,
                pair_id=original if label == FAKE else None,
                root=str(root.resolve()),
                path=file,
                mask_path=masks.get(_stem(file)) if label == FAKE else None,
            )
    listed = list(rows.values())
    alone = keep_pairs(listed)
    notes = [f"{len(alone)} fakes have no source video here: {shorten(alone)}"] if alone else []
    return Listing(listed, notes, problems)


def _find(root: Path, folder: str) -> list[str]:
    found = find_media(root / folder) if (root / folder).is_dir() else []
    return [f"{folder}/{file}" for file in found]


def _stem(file: str) -> str:
    """Returns `SPLIT/NAME` of a file, wherever the folder of the release is."""
    parts = PurePosixPath(file_key(file)).with_suffix("").parts
    after = next(i for i, part in enumerate(parts) if part in ("source", "target", "target_mask"))
    return "/".join(parts[after + 1 :])
