"""Reads Parquet files that others may have written."""

import os
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq

from dfjax.errors import FileError, first_line
from dfjax.files import check_regular

_DAMAGE = (pa.ArrowException, OSError, ValueError)
"""What pyarrow raises on damaged files."""


def read_parquet(path: str | os.PathLike[str]) -> pa.Table:
    """Returns the table in a Parquet file, with the metadata of the file as that of its schema.

    Every value is checked, texts for being UTF-8. Columns that are stored as codes of a dictionary
    are decoded.

    Args:
        path: Parquet file.

    Raises:
        FileError: The file is not a readable Parquet file, or two of its columns have one name.
    """
    check_regular(path)
    try:
        with pq.ParquetFile(path) as file:
            table = file.read(use_threads=True)
        plain = [_decoded(field) for field in table.schema]
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


def _decoded(field: pa.Field) -> pa.Field:
    kind = field.type
    return field.with_type(kind.value_type) if pa.types.is_dictionary(kind) else field


def _unreadable(path: str | os.PathLike[str], error: Exception) -> FileError:
    return FileError(f"{path} is not a readable Parquet file: {first_line(error):.200}")
