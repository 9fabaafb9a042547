"""Lists of an index that are null, short or wrong are named with their rows when it is read."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dfjax.commands.main import main
from dfjax.data.index.records import make_index, make_record, read_index, read_table, write_index
from dfjax.errors import FileError, UsageError

LISTS = {
    "frame_indices": [0, 5, 9],
    "frame_names": ["a.png", "b/c.png", "d..png"],
    "boxes": [[0.0, 1.0, 2.0, 3.0]] * 3,
    "landmarks": [[1.0] * 10, None, [2.0] * 10],
    "crop_landmarks": None,
    "face_found": [True, False, True],
    "quality": [1.0, 2.0, 3.0],
    "face_score": [0.5, None, 1.0],
}


def write(path, changes):
    rows = [
        make_record(video_id=f"d/{name}", dataset="d", label=0, frames_dir=f"crops/{name}", **LISTS)
        for name in "ab"
    ]
    write_index(make_index(rows), path, command="test")
    table = pq.read_table(path)
    for name, value in changes.items():
        old = table[name] if name in table.column_names else pa.nulls(2, pa.list_(pa.int32()))
        column = pa.array([old[0].as_py(), value], old.type)
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, column)
        else:
            table = table.append_column(name, column)
    pq.write_table(table, path)
    return path


def test_complete_lists_come_back(tmp_path):
    index = read_index(write(tmp_path / "i.parquet", {}))
    for name, values in LISTS.items():
        assert values is None or index[name].tolist() == [values] * 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame_indices": None}, "frame_indices is missing"),
        ({"frame_indices": [0, None, 9]}, "frame_indices has a null"),
        ({"frame_indices": [0, 5]}, "frame_names has not one entry per frame"),
        ({"frame_indices": [5, 0, 9]}, "frame_indices does not ascend"),
        ({"frame_indices": [0, 5, 5]}, "frame_indices does not ascend"),
        ({"frame_indices": [-1, 5, 9]}, "frame_indices does not ascend"),
        ({"boxes": [[0.0, 1.0, 2.0, 3.0]]}, "boxes has not one entry per frame"),
        ({"boxes": [[0.0, 1.0, 2.0, 3.0], None, [0.0] * 4]}, "boxes has a null"),
        (
            {"boxes": [[0.0, 1.0, 2.0, 3.0], [0.0], [0.0] * 4]},
            "boxes has an entry that is not four",
        ),
        (
            {"boxes": [[0.0] * 4, [0.0, None, 0.0, 0.0], [0.0] * 4]},
            "boxes has an entry that is not",
        ),
        ({"landmarks": []}, "landmarks has not one entry per frame"),
        ({"face_found": [True, None, True]}, "face_found has a null"),
        ({"quality": [1.0]}, "quality has not one entry per frame"),
        ({"identities": ["d/1", None]}, "identities has a null"),
        ({"donor_ids": [None]}, "donor_ids has a null"),
        ({"frame_names": ["a", "../b", "c"]}, "frame_names leads outside"),
        ({"frame_names": ["a", "/b", "c"]}, "frame_names leads outside"),
        ({"flow_indices": [3, 3]}, "flow_indices does not ascend"),
    ],
)
def test_wrong_lists_are_one_line_with_the_video(tmp_path, capsys, changes, message):
    path = write(tmp_path / "i.parquet", changes)
    with pytest.raises(UsageError, match=f"{message}.* for d/b$"):
        read_table(path)
    assert main(["data", "pack", "--index", str(path), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_flow_needs_its_columns(tmp_path):
    path = write(tmp_path / "i.parquet", {})
    table = pq.read_table(path).append_column("flow_dir", pa.array([None, "flow/b"]))
    pq.write_table(table, path)
    with pytest.raises(UsageError, match="flow_indices is missing for d/b"):
        read_index(path)


def test_strange_parquet_is_one_line(tmp_path):
    good = pq.read_table(write(tmp_path / "i.parquet", {}))
    path = tmp_path / "j.parquet"
    raw = pa.array([b"d/a", b"d/\xff"], pa.binary())
    place = good.column_names.index("video_id")
    broken = raw.view(pa.string())
    pq.write_table(good.set_column(place, "video_id", broken), path)
    with pytest.raises(FileError, match="not a readable Parquet file: .*(?i:utf)"):
        read_index(path)
    pq.write_table(good.append_column("label", good["label"]), path)
    with pytest.raises(FileError, match="several columns with the name 'label'"):
        read_index(path)
    pq.write_table(good.replace_schema_metadata({b"pandas": b"{", b"crop_recipe": b"{"}), path)
    assert len(read_index(path)) == 2
    data = (tmp_path / "i.parquet").read_bytes()
    for cut in (0, 3, 100, len(data) - 1):
        path.write_bytes(data[:cut])
        with pytest.raises(FileError, match="not a readable Parquet file"):
            read_index(path)
