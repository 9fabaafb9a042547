"""Defines, reads and writes the index: one schema for every data set with one row per video.

Null means that a value is not known yet. Probing fills the video columns, and extraction fills the
last six columns.
"""

import datetime
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import dfjax
from dfjax import FAKE, REAL
from dfjax.data.index.list_columns import check_lists
from dfjax.errors import UsageError
from dfjax.files import atomic_path
from dfjax.parquet_files import read_parquet

SPLITS = ("train", "val", "test", "none")

SCHEMA = pa.schema(
    [
        ("video_id", pa.string()),  # unique over the index: DATASET/…/stem
        ("dataset", pa.string()),
        ("label", pa.int8()),  # fake = 1
        ("method", pa.string()),  # the manipulation; `real` for real videos
        ("split", pa.string()),  # one of SPLITS
        ("target_id", pa.string()),  # the person shown
        ("donor_ids", pa.list_(pa.string())),  # the people whose faces were inserted
        ("identities", pa.list_(pa.string())),  # target and donors, as DATASET/id
        ("origin_id", pa.string()),  # the recording the video was cut from
        ("group", pa.string()),  # videos with the same group must be in the same split
        ("pair_id", pa.string()),  # video_id of the real video a fake was made from
        ("root", pa.string()),  # folder of the data set
        ("path", pa.string()),  # source video, relative to root
        ("compression", pa.string()),
        ("n_frames", pa.int32()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("fps", pa.float64()),
        ("duration", pa.float64()),  # seconds
        ("codec", pa.string()),
        ("bitrate", pa.int64()),  # bit/s of the file
        ("bytes", pa.int64()),
        ("sha256", pa.string()),
        ("frames_dir", pa.string()),  # relative to the index file's folder, or absolute
        ("frame_indices", pa.list_(pa.int32())),  # source frame numbers, ascending
        ("boxes", pa.list_(pa.list_(pa.float32()))),  # xyxy source pixels, one per frame
        ("landmarks", pa.list_(pa.list_(pa.float32()))),  # x0 y0 x1 y1 …, one list per frame
        ("face_found", pa.list_(pa.bool_())),  # False: box interpolated or centre crop
        ("quality", pa.list_(pa.float32())),  # sharpness: variance of the crop's Laplacian
    ]
)
COLUMNS = tuple(SCHEMA.names)
OPTIONAL = pa.schema(
    [
        ("frame_names", pa.list_(pa.string())),  # files in frames_dir that are not `%06d.jpg`
        ("mask_path", pa.string()),  # video of the manipulated region, relative to root
        ("restored", pa.bool_()),  # True: marked as restored by a model (`dfjax.data.faces.marks`)
        ("face", pa.int32()),  # 0, 1, …: the row VIDEO_ID#k is face k of its video
        ("face_size", pa.list_(pa.float32())),  # box side in source pixels, one per frame
        ("face_score", pa.list_(pa.float32())),  # confidence of the face detector, per frame
        ("face_frontal", pa.list_(pa.float32())),  # see `dfjax.data.faces.quality`
        ("face_visible", pa.list_(pa.float32())),  # see `dfjax.data.faces.quality`
        ("crop_landmarks", pa.list_(pa.list_(pa.float32()))),  # landmarks in pixels of the crop
        ("flow_dir", pa.string()),  # relative to the folder of the index file
        ("flow_stride", pa.int32()),  # source frames from the first to the second frame of a flow
        ("flow_indices", pa.list_(pa.int32())),  # frames at which a flow starts
        ("mask_dir", pa.string()),  # crops of mask_path, relative to the folder of the index file
        ("mask_indices", pa.list_(pa.int32())),  # frames with a crop of the mask
        ("pack_row", pa.int64()),  # number of the video's first record in a pack
        ("feature_shard", pa.int64()),  # file of a feature pack that holds the video
        ("feature_row", pa.int64()),  # row of its first frame in that file
    ]
)
"""Columns that an index may have in addition to those of `SCHEMA`."""

_FIELDS = frozenset((*COLUMNS, *OPTIONAL.names))
REQUIRED = ("video_id", "dataset", "label", "method", "split", "identities", "group")


def make_record(**fields: Any) -> dict[str, Any]:
    """Returns one complete row of the index, with null for fields that are not given.

    These fields have other defaults: `method` of a real video (`real`), `split` (`none`),
    `donor_ids` (empty), `identities` (target and donors as `DATASET/id`, so that ids of different
    data sets differ) and `group` (the `video_id`).

    Args:
        **fields: Values by column name. `video_id`, `dataset` and `label` are required, and
            `method` for a fake.

    Raises:
        ValueError: A name is not a column, or a required field is missing.
    """
    extra = fields.keys() - _FIELDS
    if extra:
        raise ValueError(f"not columns of the index: {', '.join(sorted(extra))}")
    row = dict.fromkeys(COLUMNS) | fields
    if row["label"] == REAL:
        row["method"] = row["method"] or "real"
    row["split"] = row["split"] or "none"
    row["donor_ids"] = list(row["donor_ids"] or ())
    if row["identities"] is None:
        people = ([row["target_id"]] if row["target_id"] else []) + row["donor_ids"]
        row["identities"] = [f"{row['dataset']}/{person}" for person in dict.fromkeys(people)]
    row["group"] = row["group"] or row["video_id"]
    missing = [name for name in REQUIRED if row[name] is None]
    if missing:
        raise ValueError(f"a record needs {', '.join(missing)}")
    return row


def make_index(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Returns the table of rows made by `make_record`, with columns in the order of the schema.

    Further columns follow in alphabetical order, except those that are null in all rows.
    """
    more = {name for row in rows for name, value in row.items() if value is not None}
    return pd.DataFrame(rows, columns=[*COLUMNS, *sorted(more - set(COLUMNS))])


def find_index(path: str | os.PathLike[str]) -> Path:
    """Returns `path`, or the index file in it if it is a folder."""
    path = Path(path)
    return path / "index.parquet" if path.is_dir() else path


def read_index(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Returns the index in `path` with one row per video.

    Columns of lists hold Python lists or None. Other nulls are NaN, as in pandas; test them with
    `isna`. Columns beyond the schema are kept.

    Raises:
        UsageError: The file is not a valid index (see `read_table`).
    """
    table = read_table(path)
    lists = [field.name for field in table.schema if pa.types.is_list(field.type)]
    plain = table.drop_columns(lists).replace_schema_metadata(None)  # it may say anything
    df = plain.to_pandas()
    for name in lists:
        df[name] = pd.Series(_to_lists(table[name]), index=df.index, dtype=object)
    return df[table.column_names]


def read_table(path: str | os.PathLike[str]) -> pa.Table:
    """Returns the index in `path` as an Arrow table, which suits ten million rows.

    Raises:
        UsageError: The file does not exist or is not Parquet, a required column is missing, a
            column has another type, a label is not 0 or 1, a split is unknown, or a `video_id`
            occurs twice, or a list does not fit (see `check_lists`).
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"no index at {path}; `dfjax data index` makes one")
    table = read_parquet(path)
    missing = [name for name in COLUMNS if name not in table.schema.names]
    needed = [name for name in missing if name in REQUIRED]
    if needed:
        raise UsageError(f"{path} is not an index: it has no column {', '.join(needed)}")
    for name in missing:  # tables of other tools or older versions lack columns
        field = SCHEMA.field(name)
        table = table.append_column(field, pa.nulls(len(table), field.type))
    for place, field in enumerate(table.schema):
        kind = _find_type(field.name)
        if kind is not None and kind != field.type:
            table = table.set_column(place, field.name, _convert(table, field, kind, str(path)))
    _check_table(table, str(path))
    return table


def write_index(
    df: pd.DataFrame,
    path: str | os.PathLike[str],
    *,
    command: str,
    metadata: Mapping[str, str] | None = None,
    dated: bool = True,
) -> None:
    """Writes `df` as an index to `path`, atomically.

    Args:
        df: Table of videos. Missing columns of the schema are written as nulls. Further columns
            are kept.
        path: Parquet file to write.
        command: Command line or function that made the index, stored in the metadata with version
            and time.
        metadata: Further entries of the file's metadata, such as those of
            `dfjax.data.faces.recipe`.
        dated: Whether the metadata has the time. Without it, equal tables are equal files.

    Raises:
        UsageError: The table is not a valid index (see `read_table`).
    """
    df = df.reindex(columns=[*COLUMNS, *(c for c in df.columns if c not in COLUMNS)])
    table = _to_table(df, "the index to write")
    _check_table(table, "the index to write")
    write_table(table, path, command=command, metadata=metadata, dated=dated)


def write_table(
    table: pa.Table,
    path: str | os.PathLike[str],
    *,
    command: str,
    metadata: Mapping[str, str] | None = None,
    dated: bool = True,
) -> None:
    """Writes an Arrow table (see `read_table`) to `path`, atomically, like `write_index`."""
    entries = {
        **(metadata or {}),
        "command": command,
        "software": "dfjax",
        "version": dfjax.__version__,
    }
    if dated:
        entries["time"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    with atomic_path(path) as partial:
        pq.write_table(table.replace_schema_metadata(entries), partial)


def check_index(df: pd.DataFrame, name: str) -> None:
    """Raises a `UsageError` that names the rows with invalid types, labels, splits or ids."""
    _check_table(_to_table(df, name), name)


def _check_table(table: pa.Table, name: str) -> None:
    ids = table["video_id"]
    for column in REQUIRED:
        if table[column].null_count:
            empty = ids.filter(pc.is_null(table[column])).to_pylist()
            raise UsageError(f"{name}: {column} is missing for {_some(empty)}")
    for column, known, rule in (
        ("label", pa.array([REAL, FAKE], pa.int8()), "label is neither 0 (real) nor 1 (fake)"),
        ("split", pa.array(SPLITS), f"split is not one of {', '.join(SPLITS)}"),
    ):
        right = pc.is_in(table[column], known)
        if not pc.all(right, min_count=0).as_py():
            raise UsageError(
                f"{name}: {rule} for {_some(ids.filter(pc.invert(right)).to_pylist())}"
            )
    if pc.count_distinct(ids).as_py() < len(ids):
        counts = pc.value_counts(ids)
        twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1)).to_pylist()
        raise UsageError(f"{name}: the video_id occurs twice for {_some(twice)}")
    check_lists(table, name)


def _to_table(df: pd.DataFrame, name: str) -> pa.Table:
    columns = {}
    for column in df.columns:
        kind = _find_type(column)
        try:
            columns[column] = pa.array(df[column], type=kind, from_pandas=True)
        except (pa.ArrowException, TypeError) as error:
            wanted = f" (expected: {kind})" if kind else ""
            raise UsageError(f"{name}: column {column}{wanted}: {error}") from error
    return pa.table(columns)


def _find_type(column: str) -> pa.DataType | None:
    return next((s.field(column).type for s in (SCHEMA, OPTIONAL) if column in s.names), None)


def _convert(table: pa.Table, field: pa.Field, kind: pa.DataType, name: str) -> pa.ChunkedArray:
    """Returns a column cast to the schema's type. Text is not converted to numbers or back."""
    try:
        if _is_text(field.type) != _is_text(kind) and not pa.types.is_null(field.type):
            raise pa.ArrowTypeError(f"it is {field.type}")
        return table[field.name].cast(kind)
    except pa.ArrowException as error:
        raise UsageError(f"{name}: column {field.name} (expected: {kind}): {error}") from error


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _to_lists(column: pa.ChunkedArray) -> list[list[Any] | None]:
    """Returns a column as Python lists, without conversion if all values are null."""
    return [None] * len(column) if column.null_count == len(column) else column.to_pylist()


def _some(ids: list[Any]) -> str:
    shown = ", ".join(str(i) for i in ids[:5])
    return shown if len(ids) <= 5 else f"{shown} and {len(ids) - 5} more"
