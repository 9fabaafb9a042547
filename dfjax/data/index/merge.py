"""Several indexes as one, in the memory of a table: no row becomes a Python object.

Merging keeps all rows as they are. Only `frames_dir` changes, which is relative to the folder of
the index file unless it is absolute.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from dfjax.data.index.records import read_table, write_table
from dfjax.errors import UsageError


def merge_indexes(paths: Sequence[str | os.PathLike[str]], out: Path, *, command: str) -> pa.Table:
    """Writes the rows of several indexes as one, in their order, and returns the table.

    A column that only some of them have is null in the rows of the others.

    Args:
        paths: the indexes.
        out: the index to write.
        command: for its metadata.

    Raises:
        UsageError: one of them is no index, a `video_id` is in two of them, or a column that is
            not of the schema has two types.
    """
    tables = [_rebase(read_table(path), Path(path).parent, out.parent) for path in paths]
    try:
        merged = pa.concat_tables(tables, promote_options="default")
    except pa.ArrowException as error:
        raise UsageError(f"the indexes do not fit together: {error}") from error
    ids = merged["video_id"].combine_chunks()
    counts = pc.value_counts(ids)
    twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        shown = ", ".join(twice.slice(0, 5).to_pylist())
        raise UsageError(
            f"{len(twice)} videos are in more than one of the indexes: {shown}; merge each once"
        )
    write_table(merged, out, command=command)
    return merged


def _rebase(table: pa.Table, old: Path, new: Path) -> pa.Table:
    """Returns the table with its folders relative to another one."""
    step = Path(os.path.relpath(old.resolve(), new.resolve())).as_posix()
    for name in {"frames_dir", "flow_dir"}.intersection(() if step == "." else table.column_names):
        column = table[name]
        moved = pc.binary_join_element_wise(step, column, "/")
        moved = pc.if_else(pc.starts_with(column, "/"), column, moved)  # null stays null
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), moved.cast(pa.string()))
    return table
