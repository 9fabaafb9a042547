"""Checks the columns of an index that hold lists: one entry per crop, and no nulls among them."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dfjax.errors import UsageError

PER_FRAME = (
    *("frame_indices", "frame_names", "boxes", "landmarks", "crop_landmarks", "face_found"),
    *("quality", "face_size", "face_score", "face_frontal", "face_visible"),
)
"""Columns with one entry per crop."""

WHOLE = (
    *("frame_indices", "frame_names", "boxes", "face_found", "flow_indices", "mask_indices"),
    "identities",
)
"""Columns without nulls in their lists; `donor_ids` is another one."""

NEEDS = (
    ("frames_dir", "frame_indices"),
    ("flow_dir", "flow_indices"),
    ("flow_dir", "flow_stride"),
    ("mask_dir", "mask_indices"),
)
"""Pairs of columns; where the first one has a value, the second one must have one."""


def check_lists(table: pa.Table, name: str) -> None:
    """Checks the lists of an index.

    Args:
        table: Index with the types of the schema.
        name: Name of the index, for the message.

    Raises:
        UsageError: A list is missing, has a null, has another length than `frame_indices`, or has
            invalid values.
    """
    for rule, bad in _find_errors(table):
        if pc.any(bad, min_count=0).as_py():
            ids = table["video_id"].filter(bad)
            more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
            raise UsageError(f"{name}: {rule} for {ids[0]}{more}")


def _find_errors(table: pa.Table) -> Iterator[tuple[str, pa.Array]]:
    """Yields rules with a mask of the rows that break them."""
    for first, second in NEEDS:
        if first not in table.column_names or table[first].null_count == len(table):
            continue
        if second not in table.column_names:
            yield f"{second} is missing", pc.is_valid(table[first])
        else:
            missing = pc.and_(pc.is_valid(table[first]), pc.is_null(table[second]))
            yield f"{second} is missing", missing
    for column in (*WHOLE, "donor_ids"):
        if column in table.column_names:
            yield f"{column} has a null in its list", _has(table[column], pc.is_null)
    frames = table["frame_indices"]
    count = pc.list_value_length(frames)
    for column in PER_FRAME:
        if column in table.column_names and table[column].null_count < len(table):
            other = pc.not_equal(pc.list_value_length(table[column]), count)
            yield f"{column} has not one entry per frame", pc.fill_null(other, False)
    for column in ("frame_indices", "flow_indices", "mask_indices"):
        if column in table.column_names:
            yield f"{column} does not ascend from 0 or above", _descends(table[column])
    yield "boxes has an entry that is not four numbers", _has(table["boxes"], _is_no_box)
    if "frame_names" in table.column_names:
        yield "frame_names leads outside of its folder", _has(table["frame_names"], _leads_outside)


def _has(column: pa.ChunkedArray, is_bad: object) -> pa.Array:
    """Returns a mask of the rows whose list has a value that is bad."""
    mask = np.zeros(len(column), bool)
    if column.null_count < len(column):
        whole = column.combine_chunks()
        bad = pc.fill_null(is_bad(pc.list_flatten(whole)), False)  # type: ignore[operator]
        mask[pc.list_parent_indices(whole).filter(bad).to_numpy()] = True
    return pa.array(mask)


def _descends(column: pa.ChunkedArray) -> pa.Array:
    mask = np.zeros(len(column), bool)
    if column.null_count < len(column):
        whole = column.combine_chunks()
        values = pc.list_flatten(whole).to_numpy()
        rows = pc.list_parent_indices(whole).to_numpy()
        steps = np.diff(values.astype(np.int64), prepend=-1)
        first = np.diff(rows, prepend=-1) > 0
        mask[rows[np.where(first, values < 0, steps <= 0)]] = True
    return pa.array(mask)


def _is_no_box(boxes: pa.Array) -> pa.Array:
    holes = np.zeros(len(boxes), bool)
    holes[pc.list_parent_indices(boxes).filter(pc.is_null(pc.list_flatten(boxes))).to_numpy()] = (
        True
    )
    return pc.or_(pc.not_equal(pc.list_value_length(boxes), 4), pa.array(holes))


def _leads_outside(names: pa.Array) -> pa.Array:
    return pc.match_substring_regex(names, r"^/|(^|/)\.\.(/|$)|^$|\x00")
