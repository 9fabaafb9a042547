"""Parquet files of strangers: tables that are very much larger than their files are not read."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dfjax.errors import FileError
from dfjax.parquet_files import read_parquet


def codes(values, n):
    return pa.DictionaryArray.from_arrays(
        pa.array(np.arange(n, dtype=np.int32) % len(values)), values
    )


def write(path, encoding=None, **columns):
    plain = {"use_dictionary": False, "column_encoding": encoding} if encoding else {}
    pq.write_table(pa.table(columns), path, store_schema=False, compression="zstd", **plain)
    return path


def in_lists(array):
    return pa.ListArray.from_arrays(pa.array(np.arange(len(array) + 1, dtype=np.int32)), array)


@pytest.mark.parametrize(
    "make",
    [
        lambda: {"video_id": codes(pa.array(["x" * 50_000]), 50_000)},
        lambda: {"donor_ids": in_lists(codes(pa.array(["x" * 50_000]), 50_000))},
        lambda: {"label": pa.array(np.zeros(20_000_000, np.int8))},
        lambda: {"s": pa.StructArray.from_arrays([codes(pa.array(["x" * 50_000]), 50_000)], ["a"])},
        lambda: {"raw": pa.array([b"x" * 50_000] * 2000, pa.binary(50_000))},
        lambda: {"name": pa.array(["x" * 50_000] * 2000), "encoding": {"name": "DELTA_BYTE_ARRAY"}},
    ],
    ids=["texts", "lists", "numbers", "structs", "fixed", "differences"],
)
def test_a_small_file_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch, make):
    monkeypatch.setattr("dfjax.parquet_files.MOST_BYTES", 2**26)
    path = write(tmp_path / "bomb.parquet", **make())
    assert path.stat().st_size < 400_000
    before = pa.total_allocated_bytes()
    with pytest.raises(FileError, match="more than 100 times as much: it is not read"):
        read_parquet(path)
    assert pa.total_allocated_bytes() - before < 2**22


def test_repeated_texts_come_back_also_in_lists(tmp_path):
    names = pa.array(["a", "bb"])
    path = write(
        tmp_path / "t.parquet", name=codes(names, 5), ids=in_lists(codes(names, 5)),
        empty=pa.array([None] * 5, pa.string()), score=pa.array([0.5] * 5),
    )  # fmt: skip
    table = read_parquet(path)
    assert table["name"].to_pylist() == ["a", "bb", "a", "bb", "a"]
    assert table["ids"].to_pylist() == [["a"], ["bb"], ["a"], ["bb"], ["a"]]
    assert [str(field.type) for field in table.schema][0] == "string"
    assert str(table.schema.field("ids").type).endswith(": string>")
    assert table["empty"].null_count == 5


@pytest.mark.parametrize("encoding", ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", "PLAIN"])
def test_texts_in_encodings_of_other_programs_are_read(tmp_path, encoding):
    names = [f"video/{number:05d}" for number in range(3000)]
    path = write(
        tmp_path / "t.parquet", {"name": encoding}, name=names, score=pa.array([0.5] * 3000)
    )
    table = read_parquet(path)
    assert table["name"].to_pylist() == names and str(table.schema.field("name").type) == "string"


def test_differences_are_read_a_few_at_a_time(tmp_path, monkeypatch):
    """A list may hold any number of them, so lists are refused."""
    rows = []
    batches = pq.ParquetFile.iter_batches
    monkeypatch.setattr(
        pq.ParquetFile, "iter_batches",
        lambda self, size, **options: rows.append(size) or batches(self, size, **options),
    )  # fmt: skip
    long = pa.array(["x" * 2**20] * 66)
    path = write(tmp_path / "t.parquet", {"name": "DELTA_BYTE_ARRAY"}, name=long)
    assert read_parquet(path)["name"].to_pylist() == long.to_pylist() and rows[0] < 64
    encoding = {"ids.list.element": "DELTA_BYTE_ARRAY"}
    path = write(tmp_path / "l.parquet", encoding, ids=in_lists(pa.array(["a"])))
    with pytest.raises(FileError, match="lists of texts in the encoding DELTA_BYTE_ARRAY"):
        read_parquet(path)
