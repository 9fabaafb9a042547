"""`dfjax reproduce`: the same numbers again, and the name of whatever was changed."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import dfjax
from dfjax.commands.main import main
from dfjax.data.index.records import make_index, make_record, write_index
from dfjax.errors import FileError, UsageError
from dfjax.evaluation.report import input_record
from dfjax.evaluation.report.code_hash import START, find_modules
from dfjax.evaluation.report.reproduction import reproduce


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder with scores, an index and the results of their evaluation."""
    root = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    ids = [f"d/v{n:02d}" for n in range(40)]
    scores = np.clip(rng.normal(0.35 + 0.3 * labels, 0.2), 0, 1)
    pd.DataFrame({"video_id": ids, "label": labels, "fake_prob": scores}).to_csv(
        root / "scores.csv", index=False
    )
    rows = [
        make_record(video_id=name, dataset="d", label=int(label), method="x" if label else "real",
                    split="test", target_id=f"p{n % 10}", group=f"g{n // 2}")
        for n, (name, label) in enumerate(zip(ids, labels))
    ]  # fmt: skip
    write_index(make_index(rows), root / "index.parquet", command="test")
    dfjax.evaluate(root / "scores.csv", index=root / "index.parquet", out=root / "out")
    return root


@pytest.fixture
def copy(study, tmp_path):
    return shutil.copytree(study, tmp_path / "moved")


def names(folder):
    return {one.what for one in reproduce(folder / "out" / "metrics.json").differences}


def test_a_moved_folder_is_reproduced(copy, capsys):
    result = reproduce(copy / "out")
    assert result.differences == [] and result.files == 3 and result.numbers > 100
    assert main(["reproduce", str(copy / "out" / "metrics.json"), "--json"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].endswith("nothing differs")
    assert json.loads(printed[-1])["differences"] == []


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("scores.csv", "source 1 (../scores.csv)"),
        ("index.parquet", "index (../index.parquet)"),
        ("out/predictions.parquet", "predictions (predictions.parquet)"),
    ],
)
def test_one_changed_byte_is_named(copy, file, name):
    for place in (0, -1):
        data = bytearray((copy / file).read_bytes())
        data[place] ^= 1
        (copy / file).write_bytes(data)
        assert name in names(copy)


def test_every_changed_digit_of_the_metrics_is_noticed(copy):
    """A digit of a value is a difference; one of a key, such as `sha256`, may be refused."""
    path = copy / "out" / "metrics.json"
    lines = path.read_text().splitlines()
    changed = [n for n, line in enumerate(lines) if re.search(r"\d", line)]
    keys = [n for n in changed if '"sha256"' in lines[n]]
    for number in changed[:: len(changed) // 10]:
        check_changed(path, lines, number, r"\d(?=\D*$)")
    for number in keys[:3]:
        check_changed(path, lines, number, r"\d")


def check_changed(path, lines, number, digit):
    """Changes a digit of a line and checks that the result is another, or that it is refused."""
    line = re.sub(digit, lambda found: str((int(found[0]) + 1) % 10), lines[number], count=1)
    path.write_text("\n".join([*lines[:number], line, *lines[number + 1 :]]))
    assert line != lines[number]
    try:
        assert reproduce(path).differences, line
    except FileError as error:
        assert str(path) in str(error), line


def test_a_number_that_is_not_computed_again_is_named(copy):
    path = copy / "out" / "metrics.json"
    content = json.loads(path.read_text())
    content["overall"]["video_auc"] += 0.01
    content["inputs"]["sha256"] = input_record.hash_content(content)  # a careful forger
    path.write_text(json.dumps(content))
    assert names(copy) == {"overall/video_auc"}


def test_missing_files_and_other_code_are_named(copy, monkeypatch):
    os.remove(copy / "index.parquet")
    monkeypatch.setattr("dfjax.evaluation.report.reproduction.hash_code", lambda: "other")
    assert {"index (../index.parquet)", "code sha256"} <= names(copy)


def test_the_code_is_what_the_numbers_are_computed_with():
    found = find_modules(START)
    parts = ("evaluation.tables.label_words", "evaluation.statistics.weighted", "errors", "files")
    assert {f"dfjax.{name}" for name in (*parts, "text_tables", "data.index.records")} <= set(found)
    assert not [name for name in found if name.split(".")[1:2] in (["commands"], ["models"])]
    assert found["dfjax.evaluation.report.input_record"] == Path(input_record.__file__)


def test_a_wide_table_and_the_benchmark_protocol_are_reproduced(copy):
    table = pd.read_csv(copy / "scores.csv")
    table["prob_b"] = table["fake_prob"][::-1].to_numpy()
    table = table.rename(columns={"fake_prob": "prob_a"})
    table.to_csv(copy / "wide.csv", index=False)
    out = copy / "wide"
    arguments = ["--scores", "prob_*", "--out", str(out), "--protocol", "deepfakebench-compat"]
    main(["evaluate", "--predictions", str(copy / "wide.csv"), *arguments])
    for name in "ab":
        assert reproduce(out / name).differences == []


def test_metrics_of_before_have_no_record(copy):
    path = copy / "out" / "metrics.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in content.items() if k != "inputs"}))
    with pytest.raises(UsageError, match="no record of its inputs"):
        reproduce(path)


def test_the_folder_of_several_detectors_names_them(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text("{}")
    with pytest.raises(UsageError, match=r"results of several detectors: name one of .*/a, .*/b"):
        reproduce(tmp_path)
