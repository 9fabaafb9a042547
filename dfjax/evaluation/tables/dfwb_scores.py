"""Score files of deepfake-workbench (`dfwb`): `NAME.scores.csv` with `NAME.scores.meta.json`.

The table has the columns `dataset key compression label score status` and possibly `logit label_key
method n_clips n_frames`, with one row per video. A video that could not be scored has the status
`missing` or `error` and an empty score. The other file says what the scores depend on.
"""

from __future__ import annotations

import datetime
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import dfjax
from dfjax.errors import FileError, UsageError
from dfjax.evaluation.flags import make_flag
from dfjax.evaluation.tables.column_names import TableForm
from dfjax.evaluation.tables.normalisation import COMPRESSION
from dfjax.evaluation.tables.split_choice import UNKNOWN
from dfjax.evaluation.tables.table_files import TableFile, read_table_file
from dfjax.evaluation.tables.unscored import leave_out
from dfjax.evaluation.videos.aggregation import VIDEO, aggregate, clean
from dfjax.files import atomic_path, write_json
from dfjax.json_files import read_json

SUFFIX = ".scores.csv"
REQUIRED = ("dataset", "key", "compression", "label", "score", "status")
OPTIONAL = ("logit", "label_key", "method", "n_clips", "n_frames")
STATUSES = ("ok", "missing", "error")
SCHEMA = "dfwb.scores/1"

FORM = TableForm(columns={"video_id": "key", "fake_prob": "score"}, scale="prob")
TEXT = ("dataset", "video_id", "compression", "method", "status", "label_key")
META = {
    "schema": str,
    "detector": {"name": str, "source": str, "checkpoint_sha256?": (str, None)},
    "protocol": {"id": str, "split": str},
    "coverage": {"expected": int, "ok": int, "missing": int, "error": int},
}


def is_dfwb(path: Path) -> bool:
    """Returns whether the name of a file is that of a score file with its second file beside it."""
    return path.name.endswith(SUFFIX) and find_meta(path).is_file()


def find_meta(path: Path) -> Path:
    """Returns the path of the file that belongs to a score file."""
    return path.with_name(path.name.removesuffix(".csv") + ".meta.json")


def read_dfwb(path: Path, checkpoint: bytes) -> TableFile:
    """Returns the scored videos of a score file, with its split; the others are counted in a flag.

    Where a key occurs with several compressions, the id of a video is `KEY@COMPRESSION`.

    Args:
        path: File `NAME.scores.csv`.
        checkpoint: Key of the metadata under which the detector is named.

    Raises:
        FileError: One of the files cannot be read, or the table lacks a column.
        UsageError: A status is unknown, or the counts of the second file are not those of the rows.
    """
    known = (*REQUIRED, *OPTIONAL, "video_id", "fake_prob")
    read = read_table_file(path, known, TEXT, FORM)
    table, meta = read.table, read_json(find_meta(path), META)
    missing = {"video_id", "fake_prob", *REQUIRED} - {"key", "score"} - set(table)
    if meta["schema"] != SCHEMA or missing:
        reason = f"it lacks {', '.join(sorted(missing))}" if missing else "its schema is another"
        raise FileError(f"{path} is not a score file {SCHEMA}: {reason}")
    counts = table["status"].value_counts()
    if set(counts.index) - set(STATUSES):
        raise UsageError(f"{path}: status must be one of {', '.join(STATUSES)}")
    flags = []
    found = {"expected": len(table)} | {name: int(counts.get(name, 0)) for name in STATUSES}
    if found != {name: meta["coverage"][name] for name in found}:
        message = f"{path}: its meta file counts other rows than there are: {meta['coverage']}"
        flags.append(make_flag("coverage_differs", "error", message))
    compression = table[COMPRESSION].fillna("")
    several = compression.groupby([table["dataset"], table["video_id"]]).transform("nunique") > 1
    joined = table["video_id"] + "@" + compression
    table["video_id"] = table["video_id"].where(~several, joined)
    table["split"] = meta["protocol"]["split"]
    table["unit"] = "video"
    table = table.drop(columns=[name for name in table if table[name].isna().all()])
    kept, left = leave_out(table, table["status"] == "ok", str(path))
    detector = meta["detector"]
    name = " ".join(filter(None, (detector["source"], detector.get("checkpoint_sha256"))))
    return TableFile(kept.drop(columns="status"), {checkpoint: name.encode()}, [], [*flags, *left])


def write_dfwb(predictions: pd.DataFrame, path: Path, *, detector: str) -> None:
    """Writes the scores of the videos as a score file, and the file that belongs to it.

    A score file is of one split. That of rows that have none is called `test`.

    Args:
        predictions: Table with the columns `predictions.COLUMNS`.
        path: File to write, `NAME.scores.csv`.
        detector: Name of the detector.

    Raises:
        UsageError: The name of the file is another, an id begins with a slash, or there are several
            splits.
    """
    if not path.name.endswith(SUFFIX):
        raise UsageError(f"score files of dfwb are called NAME{SUFFIX}, not {path.name}")
    table, split = _make_rows(predictions)
    if table["key"].str.startswith("/").any():
        raise UsageError("score files of dfwb cannot have video ids that begin with /")
    with atomic_path(path) as partial:
        table.to_csv(partial, index=False)
    counts = table["status"].value_counts()
    listed = sorted(f"{key}\t{rate}\t{split}\n" for key, rate in zip(table.key, table.compression))
    meta: dict[str, Any] = {
        "schema": SCHEMA,
        "detector": {
            "name": detector,
            "version": dfjax.__version__,
            "source": f"import:{detector}",
            "checkpoint_sha256": None,
            "contract_version": [1, 0],
        },
        "protocol": {
            "id": "dfjax/predictions",
            "split": split,
            "where": {},
            "pack": "dfjax",
            "pack_version": dfjax.__version__,
            "scheme_sha256": hashlib.sha256("".join(listed).encode()).hexdigest(),
        },
        "labels": "binary",
        "aggregation": {"clip_to_video": "mean-prob", "clips_per_video": _count_rows(predictions)},
        "coverage": {"expected": len(table)}
        | {name: int(counts.get(name, 0)) for name in STATUSES},
        "created": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    write_json(find_meta(path), meta)


def _make_rows(predictions: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Returns the rows of a score file, and its split."""
    splits = sorted(set(predictions["split"]))
    if len(splits) > 1:
        raise UsageError(f"a score file of dfwb is of one split, not of {', '.join(splits)}")
    scored = aggregate(clean(predictions))
    first = predictions.drop_duplicates(VIDEO).drop(columns="fake_prob")
    videos = first.merge(scored[[*VIDEO, "fake_prob"]], on=VIDEO, how="left")
    empty = pd.Series("", index=videos.index)
    table = pd.DataFrame(
        {
            "dataset": videos["dataset"],
            "key": videos["video_id"],
            "compression": videos.get(COMPRESSION, empty).fillna(""),
            "label": videos["label"],
            "score": videos["fake_prob"],
            "status": np.where(videos["fake_prob"].isna(), "missing", "ok"),
            "method": videos["method"],
        }
    )
    return table, "test" if splits == [UNKNOWN] else splits[0]


def _count_rows(predictions: pd.DataFrame) -> int:
    return int(predictions.groupby(VIDEO).size().max())
