"""Tests reading and writing of prediction tables: columns, units, labels, scores and names."""

import numpy as np
import pandas as pd
import pytest

from dfjax.errors import UsageError
from dfjax.evaluation import metrics
from dfjax.evaluation.tables.predictions import COLUMNS, read_predictions, write_predictions


def read(tmp_path, text, index=None):
    path = tmp_path / "scores.csv"
    path.write_text(text)
    return read_predictions([path], index)


def test_frames_with_a_frame_column(tmp_path):
    text = "video_id,label,fake_prob,frame,note\n003,0,0.1,30,x\n003,0,0.2,60,y\n"
    table, flags, checkpoint, _ = read(tmp_path, text)
    assert list(table) == [*COLUMNS, "note"] and not flags and checkpoint is None
    assert table["video_id"].tolist() == ["003", "003"]  # text, not the number 3
    assert table["unit"].tolist() == ["frame"] * 2 and table["position"].tolist() == [30, 60]
    assert table["dataset"].tolist() == ["unknown"] * 2 and set(table["method"]) == {"real"}
    np.testing.assert_allclose(table["logit"], np.log([0.1 / 0.9, 0.2 / 0.8]))


def test_clip_column_and_logits(tmp_path):
    table = read(tmp_path, "video_id,label,logit,clip\na,1,0.0,5\n").predictions
    assert table.loc[0, ["unit", "position", "fake_prob"]].tolist() == ["clip", 5, 0.5]
    assert table["method"].tolist() == ["unknown"]


def test_rows_without_positions_number_themselves_and_say_so(tmp_path):
    text = "video_id,label,fake_prob\na,1,0.9\nb,0,0.2\na,1,0.8\nb,0,0.3\n"
    table, flags, *_ = read(tmp_path, text)
    assert table["position"].tolist() == [0, 0, 1, 1] and set(table["unit"]) == {"frame"}
    assert [f["code"] for f in flags] == ["no_position"] and flags[0]["ids"] == ["a", "b"]
    assert metrics.compute(table)["video_auc"] == 1.0


def test_one_row_per_video_is_the_videos_own_score(tmp_path):
    table, flags, *_ = read(tmp_path, "video_id,label,fake_prob\na,1,0.9\nb,0,0.2\n")
    assert set(table["unit"]) == {"video"} and not flags


def test_words_as_labels(tmp_path):
    table = read(tmp_path, "video_id,label,fake_prob\na,FAKE,0.9\nb,real,0.2\n").predictions
    assert table["label"].tolist() == [1, 0]


def test_names_come_from_the_index_by_id(tmp_path):
    index = pd.DataFrame(
        {"video_id": ["b", "a"], "dataset": ["d2", "d1"], "method": ["real", "FS"], "split": "val"}
    )
    table = read(tmp_path, "video_id,label,fake_prob\na,1,0.9\nb,0,0.2\n", index).predictions
    assert table["dataset"].tolist() == ["d1", "d2"]
    assert table["method"].tolist() == ["FS", "real"] and set(table["split"]) == {"val"}


def test_scores_that_are_missing_are_kept_for_the_flags(tmp_path):
    table = read(tmp_path, "video_id,label,fake_prob\na,1,\nb,0,0.2\n").predictions
    assert np.isnan(table["fake_prob"][0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,fake_prob\n1,0.5\n", "lacks the column video_id"),
        ("video_id,label\na,1\n", "fake_prob"),
        ("video_id,label,fake_prob\n", "no rows"),
        ("video_id,label,fake_prob\na,2,0.5\n", "label must be 0"),
        ("video_id,label,fake_prob\na,1,3.5\n", r"in \[0, 1\], not 3.5"),
        ("video_id,label,fake_prob\na,1,high\n", "not numbers"),
        ("video_id,label,fake_prob,unit\na,1,0.5,shot\n", "not shot"),
        ("video_id,label,fake_prob\na,1,0.5\na,0,0.5\n", "both labels"),
        ("video_id,label,fake_prob\na,,0.5\nb,1,0.5\n", "label must be 0 .*, not nan"),
        ("video_id,label,fake_prob\n,1,0.5\n", "1 rows have no video_id"),
        ("video_id,label,fake_prob,frame,face\na,1,0.5,0,left\n", "face must be a whole number"),
        ("video_id,label,fake_prob,frame\na,1,0.5,0.5\n", "position must be .*, not 0.5"),
        ("video_id,label,fake_prob,frame\na,1,0.5,5000000000\n", "position must be a whole"),
        ("", "not a table"),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(tmp_path, text, message):
    with pytest.raises(UsageError, match=message) as error:
        read(tmp_path, text)
    assert "\n" not in str(error.value)


def test_booleans_and_blanks_after_commas_are_read(tmp_path):
    table = read(tmp_path, "video_id, label, fake_prob\na, True, 0.9\nb, False, 0.2\n").predictions
    assert table["label"].tolist() == [1, 0] and table["fake_prob"].tolist() == [0.9, 0.2]


def test_missing_and_broken_files(tmp_path):
    with pytest.raises(UsageError, match="no predictions file"):
        read_predictions([tmp_path / "nothing.csv"])
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(UsageError, match="not a readable Parquet file"):
        read_predictions([tmp_path / "broken.parquet"])


def test_parquet_round_trip_keeps_types_metrics_and_checkpoint(tmp_path):
    table = read(tmp_path, "video_id,label,fake_prob,frame\na,1,0.9,0\nb,0,0.2,0\n").predictions
    known = {"checkpoint": "best/40", "heldout_methods": ("warp",)}
    write_predictions(table, tmp_path / "p.parquet", **known)
    again, flags, *others = read_predictions([tmp_path / "p.parquet"])
    assert others == list(known.values()) and not flags
    assert again.dtypes.astype(str)[["position", "label", "logit"]].tolist() == [
        "int32",
        "int8",
        "float64",
    ]
    assert metrics.compute(again) == metrics.compute(table)
    assert [p.name for p in tmp_path.iterdir() if "tmp" in p.name] == []


def test_several_files_are_one_table(tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.csv").write_text(f"video_id,label,fake_prob\n{name},1,0.5\n")
    table = read_predictions([tmp_path / "one.csv", tmp_path / "two.csv"]).predictions
    assert table["video_id"].tolist() == ["one", "two"] and table.index.tolist() == [0, 1]
