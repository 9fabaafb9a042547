"""Tables as people have them: delimiters, encodings, headers, strange Parquet, scores at odds."""

import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dfjax.commands.main import main
from dfjax.errors import UsageError
from dfjax.evaluation.tables.predictions import read_predictions

TEXT = "video_id,label,fake_prob,method,note\n"
ROWS = "003,0,0.25,real,Müller\n007,1,0.75,swap,é\n"


def read(tmp_path, data, name="scores.csv"):
    path = tmp_path / name
    path.write_bytes(data)
    return read_predictions([path])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("header", [TEXT, " Video ID ,LABEL,Fake Prob, Method,note\n"])
def test_delimiters_encodings_and_headers(tmp_path, encoding, delimiter, header):
    data = (header + ROWS).replace(",", delimiter).encode(encoding)
    found = read(tmp_path, data, "scores.tsv" if delimiter == "\t" else "scores.csv")
    table = found.predictions
    assert table["video_id"].tolist() == ["003", "007"] and table["label"].tolist() == [0, 1]
    assert table["fake_prob"].tolist() == [0.25, 0.75]
    assert table["method"].tolist() == ["real", "swap"] and table["note"][0] == "Müller"
    said = " ".join(flag["message"] for flag in found.flags if flag["code"] == "read_as")
    assert ("Latin-1" in said) == (encoding == "latin-1")
    assert ("UTF-16" in said) == encoding.startswith("utf-16")
    assert ("semicolons" in said, "tabs" in said) == (delimiter == ";", delimiter == "\t")


@pytest.mark.parametrize("first", ["sep={0}\n", '"sep={0}"\r\n', "sep={0}{0}{0}\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
def test_the_delimiter_that_is_written_for_excel(tmp_path, first, delimiter):
    data = first.format(delimiter) + (TEXT + ROWS).replace(",", delimiter)
    table = read(tmp_path, data.encode("utf-8-sig")).predictions
    assert table["video_id"].tolist() == ["003", "007"] and table["note"].tolist()[0] == "Müller"


def test_decimal_commas_between_semicolons(tmp_path):
    found = read(tmp_path, b"video_id;label;fake_prob;logit\na;0;0,25;\nb;1;0,75;\nc;1;1;\n")
    assert found.predictions["fake_prob"].tolist() == [0.25, 0.75, 1.0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"video_id,label,fake_prob,Label\na,1,0.5,0\n", "has 2 columns called label; keep one"),
        (b"video_id,label,fake_prob\na,1,87\nb,0,3\n", "not 87; divide percentages by 100"),
        (
            b"video_id,label,fake_prob\na,1,87 %\nb,0,3 %\n",
            "such as 87 %; divide percentages by 100",
        ),
        (b"video_id,label,fake_prob\na,1,7\nb,0,-3\n", "logits belong in the column"),
        (b"video_id,label,fake_prob\na,1,0.5,7\n", "more fields than its header"),
        (b"video_id,label,fake_prob\na,1,0.5\nb,1,0.5,7,8\n", "not a table of text: "),
        (b'video_id,label,fake_prob\n"a,1,0.5\n' + b"b,1,0.5\n" * 9, "no rows|not a table of text"),
        (b"\n\n", "it is empty"),
        (b"\x00\x01\x02" * 50, "lacks the column|not a table|it is empty"),
    ],
)
def test_refused_tables_are_one_line(tmp_path, capsys, data, message):
    with pytest.raises(UsageError, match=message):
        read(tmp_path, data)
    assert main(["evaluate", "--predictions", str(tmp_path / "scores.csv")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_scores_and_methods_that_contradict_each_other_are_flagged(tmp_path):
    header = b"video_id,label,method,fake_prob,logit\n"
    text = header + b"a,0,real,0.5,0\nb,1,swap,0.9,-2\nc,1,real,0.9,2.2\n"
    found = read(tmp_path, text)
    flags = {flag["code"]: flag for flag in found.flags}
    assert flags["logit_conflicts"]["ids"] == ["b"]
    assert flags["method_conflicts"]["ids"] == ["c"]
    assert {flag["severity"] for flag in flags.values()} == {"error"}
    assert not read(tmp_path, text.replace(b"-2", b"2.2").replace(b"c,1,real", b"c,1,swap")).flags


def test_methods_of_both_classes_are_flagged(tmp_path):
    text = b"video_id,label,method,fake_prob\na,0,swap,0.5\nb,1,swap,0.9\nc,1, Real,0.9\nd,1,,0.9\n"
    flags = read(tmp_path, text).flags
    assert [(f["code"], f["severity"], f["ids"]) for f in flags] == [
        ("method_conflicts", "error", ["c"]), ("method_conflicts", "warning", ["a"]),
    ]  # fmt: skip


def test_a_video_may_be_called_like_a_missing_value(tmp_path):
    table = read(tmp_path, b"video_id,label,fake_prob,method\nNA,0,.5,\nnull,1,.5,NA\n").predictions
    assert table["video_id"].tolist() == ["NA", "null"]
    assert table["method"].tolist() == ["real", "unknown"]
    with pytest.raises(UsageError, match="1 rows have no video_id"):
        read(tmp_path, b"video_id,label,fake_prob\n,0,.5\nb,1,.5\n")


def parquet(tmp_path, metadata=None, **columns):
    base = {"video_id": ["a", "b"], "label": [0, 1], "fake_prob": [0.25, 0.75]}
    table = pa.table(base | columns).replace_schema_metadata(metadata)
    pq.write_table(table, tmp_path / "p.parquet")
    return read_predictions([tmp_path / "p.parquet"])


@pytest.mark.parametrize(
    "metadata",
    [{"pandas": "{"}, {"pandas": b"\xff"}, {"pandas": "{}"}, {"dfjax.checkpoint": b"\xff"}],
)
def test_strange_metadata_does_not_matter(tmp_path, metadata):
    assert len(parquet(tmp_path, metadata).predictions) == 2


@pytest.mark.parametrize("text", [b"{", b"\xff", b"5", b"[5]", b"", b"null", b"[" * 9999])
def test_damaged_held_back_methods_are_one_line(tmp_path, text):
    with pytest.raises(UsageError, match="dfjax.heldout_methods of .* is damaged") as error:
        parquet(tmp_path, {"dfjax.heldout_methods": text})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"video_id": [["a"], ["b"]]}, "the column video_id is list"),
        ({"method": [{"a": 1}, {"a": 2}]}, "the column method is struct"),
        ({"split": [[1], None]}, "the column split is list"),
        ({"fake_prob": [[0.1], [0.2]]}, "the column fake_prob is list"),
        ({"video_id": [b"\xff", b"b"]}, "the column video_id cannot be read"),
        ({"label": pa.array([0, 1], pa.timestamp("s"))}, "the column label is timestamp"),
    ],
)
def test_nested_and_binary_columns_are_one_line(tmp_path, columns, message):
    with pytest.raises(UsageError, match=message) as error:
        parquet(tmp_path, **columns)
    assert "\n" not in str(error.value)


def test_readable_columns_of_other_types(tmp_path):
    dataset = pa.array(["x", "y"]).dictionary_encode()
    found = parquet(
        tmp_path, video_id=[b"a", b"b"], fake_prob=[decimal.Decimal("0.25"), decimal.Decimal("1")],
        dataset=dataset, split=[1, None], boxes=[[1], [2]], raw=[b"\xff", None], note=["n", None],
        method=pa.nulls(2), pairs=pa.array([[("a", "b")], []], pa.map_(pa.string(), pa.string())),
    )  # fmt: skip
    table = found.predictions
    assert table["video_id"].tolist() == ["a", "b"] and table["dataset"].tolist() == ["x", "y"]
    assert table["fake_prob"].tolist() == [0.25, 1.0] and table["split"].tolist() == ["1", "none"]
    assert "note" in table and not {"boxes", "raw"} & set(table)
    (flag,) = found.flags
    assert flag["code"] == "read_as" and flag["message"].endswith("left out: boxes, raw, pairs")


def test_a_table_in_memory_may_hold_categories_and_numbers():
    table = pd.DataFrame(
        {"Video ID": [3, 4], "label": [0, 1], "logit": [0.0, 1.0], "method": ["real", "swap"]}
    ).astype({"method": "category"})
    read = read_predictions([table]).predictions
    assert read["video_id"].tolist() == ["3", "4"] and "Video ID" in table
    np.testing.assert_allclose(read["fake_prob"], [0.5, 1 / (1 + np.exp(-1))])
