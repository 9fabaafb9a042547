"""Several indexes as one, in the memory of a table: no row becomes a Python object.

Merging keeps all rows as they are. Only `frames_dir` changes, which is relative to the folder of
the index file unless it is absolute.
"""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from dfjax.data.faces.recipe import make_metadata, merge_recipes, read_crop_recipe
from dfjax.data.index.records import read_table, write_table
from dfjax.errors import UsageError


@dataclasses.dataclass(frozen=True)
class MergeReport:
    """What a merged index holds.

    Attributes:
        index: The index.
        videos: Number of its rows.
        datasets: Number of rows by data set.
    """

    index: Path
    videos: int
    datasets: dict[str, int]


def merge_indexes(
    paths: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    command: str = "dfjax data merge",
) -> MergeReport:
    """Writes the rows of several indexes as one, in their order.

    A column that only some of them have is null in the rows of the others. The crop recipe is that
    of the indexes that have one; see `merge_recipes` for what may differ.

    Args:
        paths: Two or more indexes.
        out: Index to write.
        command: Origin to record in the metadata of the index.

    Raises:
        UsageError: one of them is no index, a `video_id` is in two of them, a column that is not of
            the schema has two types, or their crops were cut in different ways.
    """
    if len(paths) < 2:
        raise UsageError("give two or more indexes to merge")
    out = Path(out)
    recipe = merge_recipes((os.fspath(path), read_crop_recipe(path)) for path in paths)
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
    write_table(merged, out, command=command, metadata=make_metadata(recipe))
    counts = merged["dataset"].value_counts().to_pylist()
    datasets = {entry["values"]: entry["counts"] for entry in counts}
    return MergeReport(out, merged.num_rows, datasets)


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
