"""DFDC (Dolhansky et al. 2020): the full Deepfake Detection Challenge data set.

`[train/]dfdc_train_part_N/metadata.json` gives the `label` (REAL or FAKE) of each file in that
folder and the `original` of each fake. `test/labels.csv` and `validation/labels.csv` have the
columns `filename,label`, where 1 is fake. Videos may also lie in a subfolder `videos/`.
"""

from collections import Counter
from pathlib import Path, PurePosixPath

from dfjax import FAKE, REAL
from dfjax.data.index.adapters.foreign import read_json, safe_path
from dfjax.data.index.adapters.listing import (
    ABSENT,
    REFUSED,
    UNLABELLED,
    Listing,
    Problem,
    Row,
    keep_pairs,
    shorten,
)
from dfjax.data.index.adapters.walk import file_key, find_files, find_media
from dfjax.data.index.records import make_record
from dfjax.errors import InputError, UsageError
from dfjax.text_tables import find_format, match_columns, read_rows

DATASET = "dfdc"
LABELS = {"real": REAL, "fake": FAKE, "0": REAL, "1": FAKE}
LISTS = ("metadata.json", "labels.csv")
SPLITS = {"test": "test", "validation": "val", "val": "val"}


def list_dfdc(root: Path) -> Listing:
    """Returns the rows of a DFDC tree or of some of its parts.

    The official split follows the folders: `test/` and `validation/` where present, and all
    training parts for training. The `group` is an original video with all fakes made from it; it is
    known for training videos only. The data set names no identities.

    Args:
        root: Folder that holds the parts, or a single part.

    Raises:
        UsageError: `root` holds no `metadata.json` or `labels.csv`, or one is unreadable.
    """
    lists = find_files(root, lambda name: name in LISTS)
    if not lists:
        raise UsageError(f"{root} holds no metadata.json (training parts) or labels.csv (test)")
    files = {file_key(f): f for f in find_media(root)}
    rows: dict[str, Row] = {}
    problems: list[Problem] = []
    for name in lists:
        folder = str(PurePosixPath(name).parent)
        base = "" if folder == "." else f"{folder}/"
        for entry, label, original in _read_list(root / name):
            try:
                path = base + safe_path(entry)
                row = _make_row(path, label, original, files)
                rows[row["video_id"]] = row | {"root": str(root.resolve())}
            except FileNotFoundError as error:
                problems.append(Problem(ABSENT, f"{DATASET}/{path}", path, f"{name}: {error}"))
            except InputError as error:
                problems.append(
                    Problem(REFUSED, f"{DATASET}/{entry}", str(entry), f"{name}: {error}")
                )
    taken = {row["path"] for row in rows.values()}
    for file in files.values():
        if file not in taken:
            reason = "is not named in metadata.json or labels.csv, so its label is unknown"
            problems.append(Problem(UNLABELLED, f"{DATASET}/{file}", file, reason))
    listed = list(rows.values())
    _link_pairs(listed)
    alone = keep_pairs(listed)
    notes = [f"{len(alone)} fakes have no original here: {shorten(alone)}"] if alone else []
    return Listing(listed, notes, problems)


def _read_list(file: Path) -> list[tuple[object, str, object]]:
    """Returns the entries of a list: file name, label, and original or None."""
    if file.name == "metadata.json":
        entries = read_json(file).items()
        known = [(name, value if isinstance(value, dict) else {}) for name, value in entries]
        return [(n, str(v.get("label")).casefold(), v.get("original")) for n, v in known]
    form = find_format(file)
    names = match_columns(form.columns, ("filename", "label"), name=str(file))
    if not {"filename", "label"} <= set(names):
        raise UsageError(f"{file} needs the columns filename and label")
    rows = read_rows(file, form, names)
    return [(row["filename"], str(row["label"]).strip().casefold(), None) for _, row in rows]


def _make_row(path: str, label: str, original: object, files: dict[str, str]) -> Row:
    if label not in LABELS:
        raise InputError(f"the label is {label!r}, neither real nor fake")
    file = files.get(file_key(path))
    if file is None:
        raise FileNotFoundError("the listed file is missing")
    kind = LABELS[label]
    stem = PurePosixPath(path).stem
    origin = PurePosixPath(original).stem if kind == FAKE and isinstance(original, str) else stem
    parts = path.split("/")[:-1]
    split = next((SPLITS[part] for part in reversed(parts) if part in SPLITS), "train")
    known = kind == REAL or bool(original)
    return make_record(
        video_id="/".join([DATASET, *(p for p in parts if p != "videos"), stem]),
        dataset=DATASET,
        label=kind,
        method="dfdc" if kind == FAKE else "real",
        split=split,
        origin_id=origin if known else None,
        group=f"{DATASET}/{origin}" if known else None,
        path=file,
    )


def _link_pairs(rows: list[Row]) -> None:
    """Sets `pair_id` to the real video with the same origin; file names are unique in DFDC."""
    reals = {row["origin_id"]: row["video_id"] for row in rows if row["label"] == REAL}
    counts = Counter(row["origin_id"] for row in rows if row["label"] == REAL)
    for row in rows:
        origin = row["origin_id"]
        if row["label"] == FAKE and origin is not None:
            known = origin in reals and counts[origin] == 1
            row["pair_id"] = reals[origin] if known else f"{DATASET}/{origin}"
