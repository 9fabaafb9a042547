"""Merges several indexes as Arrow tables, without converting rows to Python objects.

Rows are kept as they are. Only relative folders (`frame_paths.FOLDERS`) change, because they are
relative to the folder of the index file.
"""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from dfjax.data.faces.recipe import make_metadata, merge_recipes, read_crop_recipe
from dfjax.data.index.frame_paths import FOLDERS
from dfjax.data.index.records import read_table, write_table
from dfjax.errors import UsageError
from dfjax.outputs import check_outputs
from dfjax.results import Result


@dataclasses.dataclass(frozen=True)
class MergeReport(Result):
    """Summary of a merged index.

    Attributes:
        index: Index file.
        videos: Number of rows.
        datasets: Number of rows by data set.
    """

    index: Path
    videos: int
    datasets: dict[str, int]

    def describe(self) -> list[str]:
        """Returns lines that count the videos of all and of each data set."""
        counts = ", ".join(f"{name} {n}" for name, n in sorted(self.datasets.items()))
        return [f"{self.index}: {self.videos} videos", f"data sets: {counts}"]


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
        command: Command to record in the metadata of the index.

    Raises:
        UsageError: A file is not an index, a `video_id` is in several of them, a column beyond the
            schema has different types, or their crop recipes differ.
    """
    if len(paths) < 2:
        raise UsageError("give two or more indexes to merge")
    out = Path(out)
    check_outputs([out], inputs=paths)
    recipe = merge_recipes((os.fspath(path), read_crop_recipe(path)) for path in paths)
    tables = [_rebase(read_table(path), Path(path).parent, out.parent) for path in paths]
    try:
        merged = pa.concat_tables(tables, promote_options="default")
    except pa.ArrowException as error:
        raise UsageError(f"the indexes cannot be merged: {error}") from error
    ids = merged["video_id"].combine_chunks()
    counts = pc.value_counts(ids)
    twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        shown = ", ".join(twice.slice(0, 5).to_pylist())
        raise UsageError(
            f"{len(twice)} videos are in more than one of the indexes: {shown}; each video must be "
            "in one index only"
        )
    write_table(merged, out, command=command, metadata=make_metadata(recipe))
    counts = merged["dataset"].value_counts().to_pylist()
    datasets = {entry["values"]: entry["counts"] for entry in counts}
    return MergeReport(out, merged.num_rows, datasets)


def _rebase(table: pa.Table, old: Path, new: Path) -> pa.Table:
    """Returns the table with its folders relative to `new` instead of `old`."""
    step = Path(os.path.relpath(old.resolve(), new.resolve())).as_posix()
    for name in set(FOLDERS).intersection(() if step == "." else table.column_names):
        column = table[name]
        moved = pc.binary_join_element_wise(step, column, "/")
        moved = pc.if_else(pc.starts_with(column, "/"), column, moved)  # null stays null
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), moved.cast(pa.string()))
    return table
