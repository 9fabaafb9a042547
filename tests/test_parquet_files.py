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


def write(path, **columns):
    pq.write_table(pa.table(columns), path, store_schema=False)
    return path


def in_lists(array):
    return pa.ListArray.from_arrays(pa.array(np.arange(len(array) + 1, dtype=np.int32)), array)


@pytest.mark.parametrize(
    "make",
    [
        lambda: {"video_id": codes(pa.array(["x" * 50_000]), 50_000)},
        lambda: {"donor_ids": in_lists(codes(pa.array(["x" * 50_000]), 50_000))},
        lambda: {"label": pa.array(np.zeros(20_000_000, np.int8))},
    ],
    ids=["texts", "lists", "numbers"],
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
