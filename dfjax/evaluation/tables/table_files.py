"""Reads tables of predictions from CSV and Parquet files of any program."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa

from dfjax.errors import FileError, UsageError, first_line
from dfjax.evaluation.flags import Flag
from dfjax.evaluation.tables.column_names import TableForm
from dfjax.parquet_files import read_parquet
from dfjax.text_tables import find_format

TEXT_SUFFIXES = (".csv", ".tsv", ".txt")

MISSING = (
    *("", "NA", "N/A", "n/a", "<NA>", "#NA", "#N/A", "#N/A N/A", "NaN", "nan", "-NaN", "-nan"),
    *("null", "NULL", "None", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
)
"""Cells without a value, as other programs write them."""

Kind = pa.DataType


class TableFile(NamedTuple):
    """A table as it is in a file.

    Attributes:
        table: Table, in which known columns have their usual names.
        metadata: Metadata of a Parquet file.
        notes: Sentences about how the file was read.
        flags: Flags for rows that were left out.
    """

    table: pd.DataFrame
    metadata: dict[bytes, bytes]
    notes: list[str]
    flags: Sequence[Flag] = ()


def read_table_file(
    path: Path,
    known: Sequence[str],
    text: Sequence[str],
    form: TableForm | None = None,
    *,
    scores: bool = True,
) -> TableFile:
    """Returns the table in a CSV or Parquet file.

    Args:
        path: File; its suffix is one of `TEXT_SUFFIXES`, or it is Parquet.
        known: Names of the columns that the caller knows (see `match_columns`).
        text: Those of them that hold text, such as the video "003", which is not the number 3.
        form: How the table is to be read; None for the usual form.
        scores: Whether a column of scores is looked for.

    Raises:
        UsageError: The file is missing or has another format, or a known column holds lists.
    """
    if not path.is_file():
        raise UsageError(f"no predictions file {path}")
    form = form or TableForm()
    if path.suffix.lower() in TEXT_SUFFIXES:
        return _read_text(path, known, text, form, scores)
    table = read_parquet(path)
    metadata = dict(table.schema.metadata or {})
    named = form.name_columns(table.column_names, known, name=str(path), scores=scores)
    table = table.rename_columns(named.names)
    left_out: list[str] = []
    for place, field in reversed(list(enumerate(table.schema))):
        if _is_plain(field.type):
            if field.name in text and pa.types.is_integer(field.type):  # with nulls: 3, not 3.0
                table = table.set_column(place, field.name, table[place].cast(pa.string()))
            continue
        if field.name not in known:
            table = table.remove_column(place)
            left_out.insert(0, field.name)
        else:
            table = table.set_column(place, field.name, _convert(table[place], field, path))
    notes = list(named.notes)
    if left_out:
        notes.append(
            f"columns of {path.name} without plain values are left out: {', '.join(left_out)}"
        )
    plain = table.replace_schema_metadata(None)  # metadata for pandas may say anything
    return TableFile(plain.to_pandas(), metadata, notes)


def _read_text(
    path: Path, known: Sequence[str], text: Sequence[str], form: TableForm, scores: bool
) -> TableFile:
    written = find_format(path)
    named = form.name_columns(written.columns, known, name=str(path), scores=scores)
    names = _number_repeated(named.names)
    try:
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
            table = pd.read_csv(
                path,
                sep=written.delimiter,
                encoding=written.encoding,
                skiprows=written.skip,
                header=0,
                names=names,
                index_col=False,  # otherwise the first column of longer rows becomes an index
                dtype=dict.fromkeys(text, str),
                skipinitialspace=True,
                # A video may be called NA or null, which are missing values elsewhere.
                na_values={name: [""] if name == "video_id" else MISSING for name in names},
                keep_default_na=False,
            )
    except pd.errors.ParserWarning as error:
        raise FileError(f"{path}: its rows have more fields than its header") from error
    except (ValueError, OSError, OverflowError) as error:
        raise FileError(f"{path} is not a table of text: {first_line(error):.200}") from error
    for name in ("fake_prob", "logit"):  # with semicolons, numbers may have a decimal comma
        if (
            written.delimiter != ","
            and name in table
            and not pd.api.types.is_numeric_dtype(table[name])
        ):
            numbers = table[name].astype("string").str.replace(",", ".", regex=False)
            table[name] = numbers.astype("object")
    return TableFile(table, {}, [*([written.note] if written.note else []), *named.notes])


def _number_repeated(names: list[str]) -> list[str]:
    """Returns names that are all different: a further `note` is `note.1`."""
    counts: dict[str, int] = {}
    found = []
    for name in names:
        count = counts[name] = counts.get(name, -1) + 1
        found.append(f"{name}.{count}" if count else name)
    return found


def _is_plain(kind: Kind) -> bool:
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    return text or number or pa.types.is_null(kind)


def _convert(column: pa.ChunkedArray, field: pa.Field, path: Path) -> pa.ChunkedArray:
    """Returns a column of bytes as text and one of decimals as numbers."""
    kind = field.type
    try:
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            return column.cast(pa.string())
        if pa.types.is_decimal(kind):
            return column.cast(pa.float64())
    except pa.ArrowException as error:
        raise FileError(f"{path}: the column {field.name} cannot be read: {error}") from error
    raise FileError(f"{path}: the column {field.name} is {kind}, not text or numbers")
