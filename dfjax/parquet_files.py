"""Reads Parquet files that others may have written.

A value that is repeated is stored once, so that a file of a few kilobytes can hold a table of
gigabytes. The size of the table is therefore computed before it is made: first by the counts in the
file's footer, then by the texts, which are read as codes of a dictionary. Texts that are stored as
differences to the one before (`DELTA_BYTE_ARRAY`) cannot be read as codes; they are first read a
few at a time, to be measured.
"""

import os
from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dfjax.errors import FileError, first_line
from dfjax.files import check_regular

_DAMAGE = (pa.ArrowException, OSError, ValueError)
"""What pyarrow raises on damaged files."""


MOST_BYTES, MOST_EXPANSION = 2**30, 100
"""A table may have `MOST_BYTES` in memory, or `MOST_EXPANSION` times the size of its file."""

_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4}
_TEXT, _FIXED = "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"
_WHOLE, _DIFFERENCES = "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"
"""Encodings of texts that are not read as codes: with all their characters, and as differences."""

_PIECE = 2**26  # bytes that a batch of such texts may have in memory, if all are the longest


def read_parquet(path: str | os.PathLike[str]) -> pa.Table:
    """Returns the table in a Parquet file, with the metadata of the file as that of its schema.

    Every value is checked, texts for being UTF-8. Columns that are stored as codes of a dictionary
    are decoded.

    Args:
        path: Parquet file.

    Raises:
        FileError: The file is not a readable Parquet file, its table would be very much larger than
            the file, or two of its columns have one name.
    """
    check_regular(path)
    try:
        metadata = pq.read_metadata(path)
        _check_size(_count_bytes(metadata), path)
        texts = _find_texts(metadata)
        _check_differences(path, metadata, [name for name, kinds in texts if _DIFFERENCES in kinds])
        coded = [name for name, kinds in texts if not kinds & {_WHOLE, _DIFFERENCES}]
        with pq.ParquetFile(path, metadata=metadata, read_dictionary=coded) as file:
            table = file.read(use_threads=True)
        _check_size(sum(_measure(part) for c in table.columns for part in c.chunks), path)
        plain = [field.with_type(_decode(field.type)) for field in table.schema]
        table = table.cast(pa.schema(plain, table.schema.metadata))
        table.validate(full=True)
    except _DAMAGE as error:
        raise _unreadable(path, error) from error
    twice = [name for name, count in Counter(table.column_names).items() if count > 1]
    if twice:
        raise FileError(f"{path} has several columns with the name {twice[0]!r:.80}")
    return table


def read_parquet_metadata(path: str | os.PathLike[str]) -> dict[bytes, bytes]:
    """Returns the entries of a Parquet file's metadata.

    Args:
        path: Parquet file.

    Raises:
        FileError: The file is not a readable Parquet file.
    """
    check_regular(path)
    try:
        return dict(pq.read_schema(path).metadata or {})
    except _DAMAGE as error:
        raise _unreadable(path, error) from error


def _count_bytes(metadata: pq.FileMetaData) -> int:
    """Returns the size of a table, with texts as codes, by the counts in the footer."""
    total = 0
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for number in range(group.num_columns):
            column, kind = group.column(number), metadata.schema.column(number)
            width = 4 if column.physical_type == _TEXT else _WIDTHS.get(column.physical_type, 8)
            width = kind.length if column.physical_type == _FIXED else width
            stored = column.total_uncompressed_size
            total += max(0, stored) + max(0, column.num_values) * width
    return total


def _find_texts(metadata: pq.FileMetaData) -> list[tuple[str, set[str]]]:
    """Returns the columns of texts with the encodings of each, over all row groups."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    return [
        (column.path, {kind for group in groups for kind in group.column(number).encodings})
        for number in range(metadata.num_columns)
        if (column := metadata.schema.column(number)).physical_type == _TEXT
    ]


def _check_differences(
    path: str | os.PathLike[str], metadata: pq.FileMetaData, names: list[str]
) -> None:
    """Checks the size of columns with texts that are stored as differences.

    A text is at most as long as all differences together, which limits a batch of them; a list in a
    row may have any number of texts, so such lists are not read.
    """
    if not names:
        return
    columns = [metadata.schema.column(number) for number in range(metadata.num_columns)]
    lists = [c.path for c in columns if c.path in names and c.max_repetition_level]
    if lists:
        raise FileError(f"{path} has lists of texts in the encoding {_DIFFERENCES}: {lists[0]}")
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    places = [place for place, column in enumerate(columns) if column.path in names]
    longest = max((g.column(p).total_uncompressed_size for g in groups for p in places), default=0)
    rows = max(1, min(2**16, _PIECE // max(1, longest)))
    size = 0
    with pq.ParquetFile(path, metadata=metadata) as file:
        for batch in file.iter_batches(rows, columns=names):
            size += batch.nbytes
            _check_size(size, path)


def _measure(array: pa.Array) -> int:
    """Returns the size of an array after its dictionaries are decoded."""
    if isinstance(array, pa.MapArray):
        return 8 * len(array) + _measure(array.keys) + _measure(array.items)
    if isinstance(array, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray):
        return 8 * len(array) + _measure(array.flatten())
    if isinstance(array, pa.StructArray):
        return sum(map(_measure, array.flatten()))
    if not isinstance(array, pa.DictionaryArray):
        return int(array.nbytes)
    if not _is_text(array.dictionary.type):
        return 8 * len(array)
    lengths = pc.cast(pc.binary_length(array.dictionary), pa.int64())
    return 8 * len(array) + (pc.sum(pc.take(lengths, array.indices)).as_py() or 0)


def _is_text(kind: pa.DataType) -> bool:
    known = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return bool(known or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _check_size(size: int, path: str | os.PathLike[str]) -> None:
    stored = os.path.getsize(path)
    if size > max(MOST_BYTES, MOST_EXPANSION * stored):
        raise FileError(
            f"{path} is a file of {stored:,} bytes with a table of {size:,} bytes, which is more "
            f"than {MOST_EXPANSION} times as much: it is not read"
        )


def _decode(kind: pa.DataType) -> pa.DataType:
    """Returns the type of a column, or of its lists, without dictionaries."""
    if pa.types.is_dictionary(kind):
        return kind.value_type
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_decode(kind.value_type)))
    if pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_decode(kind.value_type)))
    return kind


def _unreadable(path: str | os.PathLike[str], error: Exception) -> FileError:
    return FileError(f"{path} is not a readable Parquet file: {first_line(error):.200}")
