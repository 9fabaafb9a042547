"""What is done to tables: to the text of a CSV file, and to the columns of a Parquet file."""

import json

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
from hostile_checks import CANARY
from hostile_mutations import odd_value

ODD_CELLS = (
    *("", " ", "nan", "NaN", "null", "-1", "0", "1", "2", "1.0", "0x1", "1e309", "-inf", "9" * 400),
    *("Real", "FAKE", "true", '"', "'", '"a', "a\tb", "é", "ﬁ", "\u202efake", "\x1b[31mred", "\0"),
    *("../../etc/passwd", "/etc/passwd", "C:\\x", "~/x", "http://127.0.0.1:9/x", "file:///x"),
    *("=1+1", f"{CANARY}:attack", ";;;", "[1, 2]", "{}", "-", ".", "..", "x/", "x//y", "a" * 300),
    "x" * 70_000,
)  # fmt: skip
ONE_FIELD = pa.struct([("a", pa.int8())])


def _rows(text, separator=","):
    return [line.split(separator) for line in text.splitlines()]


def _text(rows, separator=","):
    return "\n".join(separator.join(row) for row in rows) + "\n"


def change_cell(text, rng):
    rows = _rows(text)
    for _ in range(rng.choice((1, 1, 3))):
        row = rng.choice(rows[1:])
        row[rng.randrange(len(row))] = rng.choice(ODD_CELLS)
    return _text(rows)


def change_header(text, rng):
    rows = _rows(text)
    head = rows[0]
    place = rng.randrange(len(head))
    name = head[place]
    head[place] = rng.choice(
        ("", name.upper(), name.title(), f" {name} ", f'"{name}"', "label", "path", "\ufeff" + name,
         name + "\0", "split", "x" * 5000, "frame", "unit", "position", "__index__", "é", "dataset")
    )  # fmt: skip
    return _text(rows)


def change_rows(text, rng):
    rows = _rows(text)
    place = rng.randrange(1, len(rows))
    return rng.choice(
        (
            lambda: _text(rows[:1]),
            lambda: _text(rows[1:]),
            lambda: _text([*rows, rows[place]]),
            lambda: _text([*rows[:place], rows[place][:1], *rows[place:]]),
            lambda: _text([*rows[:place], rows[place] * 2, *rows[place:]]),
            lambda: _text([*rows[:place], [""], *rows[place:]]),
            lambda: _text([*rows, *rows]),
            lambda: _text([row[1:] for row in rows]),
            lambda: _text([row + row for row in rows]),
            lambda: _text([*rows[:1], *[list(reversed(row)) for row in rows[1:]]]),
            lambda: _text(rows[:1] + rows[1:] * 200),
        )
    )()


def change_dialect(text, rng):
    rows = _rows(text)
    return rng.choice(
        (
            lambda: _text(rows, ";"),
            lambda: _text(rows, "\t"),
            lambda: _text(rows, "|"),
            lambda: _text(rows, ", "),
            lambda: text.replace("\n", "\r\n"),
            lambda: text.replace("\n", "\r"),
            lambda: text.replace("\n", "\n\n"),
            lambda: "# comment\n" + text,
            lambda: "\n\n" + text,
            lambda: text.replace(",", '","'),
            lambda: '"' + text,
            lambda: text + '"',
            lambda: "sep=;\n" + text,
            lambda: text.rstrip("\n") + "," * 10_000,
        )
    )()


def change_encoding(text, rng):
    accented = text.replace("a", "é") if rng.random() < 0.5 else text
    codec = rng.choice(("utf-16", "utf-16-le", "utf-32", "latin-1", "utf-8-sig", "cp037", "utf-7"))
    return accented.encode(codec, "replace")


TEXT = {
    f.__name__: f
    for f in (change_cell, change_header, change_rows, change_dialect, change_encoding)
}


def mutate_text(text, operation, rng):
    """The bytes of a CSV file after one operation."""
    changed = TEXT[operation](text, rng)
    return changed if isinstance(changed, bytes) else changed.encode("utf-8", "surrogatepass")


def _column(table, rng):
    return rng.randrange(table.num_columns)


def drop_column(table, rng):
    return table.remove_column(_column(table, rng))


def rename_column(table, rng):
    names = list(table.column_names)
    place = _column(table, rng)
    name = names[place]
    names[place] = rng.choice((name.upper(), f" {name}", "", rng.choice(names), "x", "__index__"))
    return table.rename_columns(names)


def null_column(table, rng):
    place = _column(table, rng)
    field, n = table.schema.field(place), len(table)
    column = table.column(place)
    if rng.random() < 0.5:
        keep = pa.array([rng.random() < 0.6 for _ in range(n)])
        column = pa.compute.if_else(keep, column, pa.scalar(None, field.type))
    else:
        column = pa.nulls(n, rng.choice((field.type, pa.null())))
    return table.set_column(place, field.name, column)


def retype_column(table, rng):
    place = _column(table, rng)
    name, values = table.column_names[place], table.column(place).to_pylist()
    makers = (
        lambda v: pa.array([str(x) for x in v]),
        lambda v: pa.array([str(x).encode() for x in v], pa.binary()),
        lambda v: pa.array([[str(x)] for x in v]),
        lambda v: pa.array([{"a": str(x)} for x in v]),
        lambda v: pa.array([[[1.5]] for _ in v]),
        lambda v: pa.array([None if i % 2 else {} for i, _ in enumerate(v)], ONE_FIELD),
        lambda v: pa.array([str(x) for x in v]).dictionary_encode(),
        lambda v: pa.array([i % 2 == 0 for i, _ in enumerate(v)]),
        lambda v: pa.array(range(len(v)), pa.int64()),
        lambda v: pa.array(range(len(v)), pa.timestamp("ns")),
        lambda v: pa.array([float("nan") if i % 2 else 1e308 for i, _ in enumerate(v)]),
        lambda v: pa.array([i for i, _ in enumerate(v)], pa.decimal128(38, 4)),
        lambda v: pa.array([2**63 + i for i, _ in enumerate(v)], pa.uint64()),
        lambda v: pa.array([[("k", 1)] for _ in v], pa.map_(pa.string(), pa.int32())),
        lambda v: pa.array([b"x" * 8 for _ in v], pa.binary(8)),
        lambda v: pa.array([float(i) for i, _ in enumerate(v)], pa.float16()),
    )
    return table.set_column(place, name, rng.choice(makers)(values))


def odd_cells(table, rng):
    """Keeps a column's type, with values that no program expects."""
    place = _column(table, rng)
    field, values = table.schema.field(place), table.column(place).to_pylist()
    for _ in range(rng.choice((1, 2, len(values)))):
        values[rng.randrange(len(values))] = _odd_of(field.type, rng)
    return table.set_column(place, field.name, pa.array(values, field.type))


def _odd_of(kind, rng):
    if pa.types.is_list(kind):
        return rng.choice((None, [], [None], [_odd_of(kind.value_type, rng) for _ in range(3)]))
    if pa.types.is_boolean(kind):
        return rng.choice((None, True, False))
    if pa.types.is_integer(kind):
        most = 2 ** (kind.bit_width - 1) - 1
        return rng.choice((None, -1, 0, 7, most, -most - 1))
    if pa.types.is_floating(kind):
        return rng.choice((None, float("nan"), float("inf"), -1.0, 2.0, 1e30, 0.0))
    return rng.choice((None, *ODD_CELLS)) if pa.types.is_string(kind) else None


def change_table(table, rng):
    n = len(table)
    return rng.choice(
        (
            lambda: table.slice(0, 0),
            lambda: pa.concat_tables([table, table]),
            lambda: table.take(pa.array([rng.randrange(n) for _ in range(n)])),
            lambda: table.append_column(table.schema.field(0), table.column(0)),
            lambda: pa.table({}),
            lambda: pa.table({f"c{i}": [1] for i in range(500)}),
            lambda: table.append_column("nested", pa.array([[[{"a": [1]}]]] * n)),
            lambda: table.append_column(CANARY, pa.array([b"\x80\x04."] * n, pa.binary())),
        )
    )()


def change_metadata(table, rng):
    """Puts odd JSON, or what is no JSON, under the keys that readers know."""
    metadata = dict(table.schema.metadata or {})
    keys = [*metadata, b"pandas", b"ARROW:schema", b"crop_recipe", b"dfjax.heldout_methods"]
    keys += [b"dfjax.checkpoint", b"version"]
    for _ in range(rng.choice((1, 2))):
        text = json.dumps(odd_value(rng)).encode("utf-8", "surrogatepass")
        metadata[rng.choice(keys)] = rng.choice((text, b"{", b"\xff\xfe", b"", text[:-1]))
    return table.replace_schema_metadata(metadata)


COLUMNS = {
    f.__name__: f
    for f in (
        drop_column, rename_column, null_column, retype_column, odd_cells, change_table,
        change_metadata,
    )
}  # fmt: skip


def write_mutated(source, target, operation, rng):
    """Writes the Parquet table in `source` to `target` after one operation."""
    changed = COLUMNS[operation](pq.read_table(source), rng)
    target.unlink(missing_ok=True)
    pq.write_table(changed, target)
