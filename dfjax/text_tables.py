"""Tables of text as people have them: the encoding, the delimiter and the names of the columns."""

import codecs
import csv
import io
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dfjax.errors import FileError
from dfjax.files import check_regular

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
SETTING = re.compile(r"""["']?sep=([,;|\t])["']?[,;|\s]*""")
"""Line before the names of the columns by which Excel is told the delimiter."""

BLOCK = 2**22
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Encodings by the mark that a file begins with."""

LONGEST_HEADER = 2**20
"""Largest number of bytes of the first line."""


class TextFormat(NamedTuple):
    """How a table is written.

    Attributes:
        encoding: Name of the encoding in Python.
        delimiter: Character between the columns.
        skip: Number of lines before that with the names of the columns, 1 or 0.
        columns: Names of the columns as they are written.
        note: Sentence about an encoding or delimiter that is not the usual one, or "".
    """

    encoding: str
    delimiter: str
    skip: int
    columns: list[str]
    note: str


def find_format(path: str | os.PathLike[str]) -> TextFormat:
    """Returns the encoding, the delimiter and the columns of a table.

    The encoding is UTF-8 or UTF-16 and, where the bytes are neither, Latin-1, in which all bytes
    are characters. The delimiter is that of a line `sep=;`, as Excel writes it, or the commonest
    of `DELIMITERS` in the first line.

    Args:
        path: Table with one line per row and the names of the columns in the first line.

    Raises:
        FileError: The file cannot be read, or is empty.
    """
    path = Path(path)
    check_regular(path)
    try:
        encoding = _find_encoding(path)
        with path.open(encoding=encoding, newline="", errors="replace") as file:
            lines = file.read(LONGEST_HEADER).splitlines()
    except (OSError, UnicodeError) as error:
        raise FileError(f"{path} cannot be read: {error}") from error
    setting = SETTING.fullmatch(lines[0]) if lines else None
    header = next((line for line in lines[1 if setting else 0 :] if line.strip()), "")
    if not header:
        raise FileError(f"{path} is not a table: it is empty")
    commonest = max(DELIMITERS, key=lambda mark: len(_split(header, mark)))
    delimiter = setting[1] if setting else commonest
    parts = [f"delimited by {DELIMITERS[delimiter]}"] if delimiter != "," else []
    if encoding not in ("utf-8", "utf-8-sig"):
        parts.insert(0, "Latin-1, as it is not UTF-8" if encoding == "latin-1" else "UTF-16")
    note = f"{path.name} was read as {', '.join(parts)}" if parts else ""
    columns = _split(header, delimiter)
    return TextFormat(encoding, delimiter, 1 if setting else 0, columns, note)


def read_rows(
    path: str | os.PathLike[str], form: TextFormat, names: Sequence[str]
) -> Iterator[tuple[int, dict[Any, Any]]]:
    """Yields the number of the last line of each row, and its cells by the names of the columns.

    A row with too few cells has None for the others; those that are too many are listed under None.

    Args:
        path: Table.
        form: How it is written (`find_format`).
        names: Names of the columns.

    Raises:
        FileError: A cell exceeds the maximum length, as after a quotation mark without its end.
    """
    text = Path(path).read_text(form.encoding, errors="replace")
    reader = csv.DictReader(
        io.StringIO(text, newline=""), names, delimiter=form.delimiter, skipinitialspace=True
    )
    try:
        for row in itertools.islice(reader, form.skip + 1, None):  # after the names of the columns
            yield reader.line_num, row
    except csv.Error as error:
        raise FileError(f"{path} is damaged at line {reader.line_num}: {error}") from error


def _find_encoding(path: Path) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        start = file.read(4)
        marked = next((name for mark, name in MARKS.items() if start.startswith(mark)), None)
        if marked:
            return marked
        if start[1:2] == b"\0" or start[:1] == b"\0":  # UTF-16 without a mark
            return "utf-16-le" if start[1:2] == b"\0" else "utf-16-be"
        file.seek(0)
        try:
            while block := file.read(BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "latin-1"
    return "utf-8"


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter))
    except (csv.Error, StopIteration):
        return [line]


def match_columns(columns: Iterable[str], known: Sequence[str], *, name: str) -> list[str]:
    """Returns the names of columns, with the known ones as they are in `known`.

    Case, blanks and hyphens do not count in known names: `Video ID` is `video_id`.

    Args:
        columns: Names as they are written.
        known: Names that the caller looks for.
        name: Name of the table, for the message.

    Raises:
        FileError: Two columns have one known name.
    """
    by_key = {column_key(column): column for column in known}
    found = [by_key.get(column_key(column), str(column).strip()) for column in columns]
    twice = [column for column in known if found.count(column) > 1]
    if twice:
        raise FileError(f"{name} has {found.count(twice[0])} columns called {twice[0]}; keep one")
    return found


def column_key(column: object) -> str:
    """Returns the form in which names of columns are compared: `Video-ID` is `video_id`."""
    return re.sub(r"[\s_-]+", "_", str(column).strip().casefold())


def check_numbers(path: str | os.PathLike[str], needed: Sequence[str], *, remedy: str) -> None:
    """Checks that a CSV file of ours, such as the history of a run, holds numbers only.

    Args:
        path: CSV file. Cells may be empty, True or False.
        needed: Columns that it must have.
        remedy: What to do about a damaged file, for the error message.

    Raises:
        FileError: The file is of another kind, or damaged.
    """
    check_regular(path)
    try:
        with open(path, encoding="utf-8", newline="") as file:
            names, *rows = csv.reader(file, strict=True)
    except (OSError, ValueError, csv.Error) as error:
        raise FileError(f"{path} is damaged: {error}; {remedy}") from error
    missing = [name for name in needed if names.count(name) != 1]
    if missing:
        raise FileError(f"{path} is damaged: it has no column {missing[0]}; {remedy}")
    for number, row in enumerate(rows, 2):
        if len(row) != len(names) or not all(map(_is_number, row)):
            raise FileError(f"{path} is damaged at line {number}; {remedy}")


def _is_number(cell: str) -> bool:
    try:
        return cell in ("", "True", "False") or abs(float(cell)) >= 0 or cell == "nan"
    except ValueError:
        return False
