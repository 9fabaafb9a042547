"""Tests the index: rows, validation of files, and atomic writing."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dfjax import FAKE, REAL
from dfjax.data.index.records import (
    COLUMNS,
    REQUIRED,
    SCHEMA,
    make_index,
    make_record,
    read_index,
    write_index,
)
from dfjax.data.index.video_ids import reserve_names
from dfjax.errors import UsageError
from dfjax.files import atomic_path


def two_rows():
    return [
        make_record(video_id="d/a", dataset="d", label=REAL, target_id="7", n_frames=3),
        make_record(
            video_id="d/b",
            dataset="d",
            label=FAKE,
            method="swap",
            target_id="7",
            donor_ids=["9", "7"],
            pair_id="d/a",
            group="d/a",
        ),
    ]


def test_record_derives_what_follows_from_the_rest():
    real, fake = two_rows()
    assert tuple(real) == COLUMNS
    assert (real["method"], real["split"], real["group"]) == ("real", "none", "d/a")
    assert real["donor_ids"] == [] and real["identities"] == ["d/7"]
    assert fake["identities"] == ["d/7", "d/9"]  # each once, the target first
    assert fake["group"] == "d/a"


def test_record_refuses_unknown_and_missing_fields():
    with pytest.raises(ValueError, match="not columns of the index: identity"):
        make_record(video_id="d/a", dataset="d", label=REAL, identity="x")
    with pytest.raises(ValueError, match="needs method"):
        make_record(video_id="d/a", dataset="d", label=FAKE)


def test_round_trip_keeps_lists_nulls_and_extra_columns(tmp_path):
    index = make_index(two_rows()).assign(pack_row=[0, 1])
    index["boxes"] = [[[0.0, 1.0, 2.0, 3.5]], None]
    write_index(index, tmp_path / "i.parquet", command="dfjax data test")
    back = read_index(tmp_path / "i.parquet")
    assert list(back.columns) == [*COLUMNS, "pack_row"]
    assert back["boxes"][0] == [[0.0, 1.0, 2.0, 3.5]] and back["boxes"][1] is None
    assert back["donor_ids"][1] == ["9", "7"]
    assert back["n_frames"][0] == 3 and pd.isna(back["n_frames"][1])
    write_index(back, tmp_path / "j.parquet", command="again")
    assert read_index(tmp_path / "j.parquet").equals(back)
    stored = pq.read_schema(tmp_path / "j.parquet")
    assert stored.remove(stored.get_field_index("pack_row")).equals(SCHEMA)
    metadata = pq.read_metadata(tmp_path / "i.parquet").metadata
    assert metadata[b"command"] == b"dfjax data test"
    assert metadata[b"version"] and metadata[b"time"]


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("label", [0, 2], "label is neither 0 .* for d/b"),
        ("video_id", ["d/a", "d/a"], "the video_id occurs twice for d/a"),
        ("split", ["train", "dev"], "split is not one of train, val, test, none for d/b"),
        ("method", [None, "swap"], "method is missing for d/a"),
        ("group", ["g", None], "group is missing for d/b"),
        ("n_frames", ["three", 3], "column n_frames"),
    ],
)
def test_broken_rules_are_named_with_their_rows(tmp_path, column, values, message):
    index = make_index(two_rows())
    index[column] = pd.Series(values, dtype=object)
    with pytest.raises(UsageError, match=message):
        write_index(index, tmp_path / "i.parquet", command="x")
    assert list(tmp_path.iterdir()) == []


def test_reading_checks_the_file(tmp_path):
    path = tmp_path / "i.parquet"
    with pytest.raises(UsageError, match="no index at"):
        read_index(path)
    path.write_text("video_id,label\n")
    with pytest.raises(UsageError, match="not a readable Parquet"):
        read_index(path)
    pq.write_table(pa.table({"video_id": ["a"]}), path)
    with pytest.raises(UsageError, match="has no column dataset, label"):
        read_index(path)
    table = pa.Table.from_pandas(make_index(two_rows()), schema=SCHEMA, preserve_index=False)
    wrong = table.set_column(2, "label", pa.array([0, 5]))
    pq.write_table(wrong, path)
    with pytest.raises(UsageError, match="label is neither"):
        read_index(path)


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path):
    path = tmp_path / "new" / "f.txt"
    with atomic_path(path) as partial:
        partial.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_columns_that_nobody_needs_may_be_missing(tmp_path):
    row = make_record(video_id="a", dataset="d", label=0, target_id="7", fps=25.0)
    write_index(make_index([row]), tmp_path / "full.parquet", command="test")
    pd.read_parquet(tmp_path / "full.parquet", columns=list(REQUIRED)).to_parquet(
        tmp_path / "least.parquet"
    )
    (least,) = read_index(tmp_path / "least.parquet").to_dict("records")
    assert least["identities"] == ["d/7"] and least["donor_ids"] is None
    assert set(least) == set(COLUMNS) and pd.isna(least["fps"]) and pd.isna(least["root"])


def test_reserved_names_never_collide():
    ids = [
        "d/x",
        "d/x#1",
        "d/x#1_",
        "d/x#1__",
        "d/x#",
        "d/x#1/y",
        "d/faces.json",
        "d/000001.jpg",
        "d/1.jpg",
    ]
    names = [reserve_names(video_id) for video_id in ids]
    assert names == ["d/x", "d/x#1_", "d/x#1__", "d/x#1___", "d/x#", "d/x#1_/y", "d/faces.json_",
                     "d/000001.jpg_", "d/1.jpg"]  # fmt: skip
    assert len(set(names)) == len(ids)
