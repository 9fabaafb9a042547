"""Tests `dfjax.evaluate` on prediction files and tables, without output or side effects."""

import subprocess
import sys

import pandas as pd
import pytest

import dfjax
from dfjax.data.index.records import make_index, make_record, write_index
from dfjax.errors import UsageError
from dfjax.inference.tables import evaluate_detectors


@pytest.fixture
def table():
    ids = [f"d/{kind}{i}" for i in range(6) for kind in "fr"]
    return pd.DataFrame(
        {
            "video_id": ids,
            "label": [int(name[2] == "f") for name in ids],
            "fake_prob": [0.9, 0.1, 0.7, 0.3, 0.4, 0.6, 0.8, 0.2, 0.6, 0.4, 0.3, 0.5],
        }
    )


def test_a_table_and_a_file_of_it_give_the_same_report(table, tmp_path, capsys):
    before = table.copy()
    table.to_csv(tmp_path / "scores.csv", index=False)
    from_table, from_file = dfjax.evaluate(table), dfjax.evaluate(tmp_path / "scores.csv")
    pd.testing.assert_frame_equal(table, before)
    assert from_table.metrics["overall"] == from_file.metrics["overall"]
    assert from_table.out is None and len(from_table.predictions) == 12
    assert capsys.readouterr() == ("", "")


def test_the_index_says_what_is_resampled_and_the_results_lie_in_out(table, tmp_path):
    rows = [
        make_record(
            video_id=row.video_id, dataset="d", label=row.label, group=row.video_id[3:],
            method="DF" if row.label else "real",
        )
        for row in table.itertuples()
    ]  # fmt: skip
    write_index(make_index(rows), tmp_path / "index.parquet", command="test")
    report = dfjax.evaluate(table, index=tmp_path / "index.parquet", out=tmp_path / "out")
    assert (report.metrics["resampled"], report.metrics["clusters"]) == ("group", 6)
    assert report.out == tmp_path / "out" and (report.out / "metrics.json").is_file()
    again = dfjax.evaluate(report.out / "predictions.parquet")
    assert again.metrics["overall"] == report.metrics["overall"]


def test_a_split_without_rows_names_those_there_are(table):
    with pytest.raises(UsageError, match="no prediction has split 'val'.*none"):
        dfjax.evaluate(table, split="val")


def test_predictions_without_any_score_are_refused_with_the_commonest_error(table):
    empty = table.assign(fake_prob=float("nan"))
    with pytest.raises(UsageError, match="none of the 12 predictions has a score: fake_prob and"):
        dfjax.evaluate(empty)
    errors = ["no face", "no face", *["cut off"] * 3, *[None] * 7]
    with pytest.raises(UsageError, match="NaN, and the commonest error is: cut off$"):
        dfjax.evaluate(empty.assign(error=errors))
    one = empty.assign(fake_prob=[0.4, *[None] * 11])
    assert dfjax.evaluate(one).metrics["n"]["videos"] == 1


def test_predictions_are_measured_without_loading_jax(table, tmp_path):
    table.to_csv(tmp_path / "scores.csv", index=False)
    code = (
        f"import sys, dfjax; dfjax.evaluate({str(tmp_path / 'scores.csv')!r});"
        "print({'jax', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_unknown_keywords_are_refused(table):
    for wrong in ({"protcol": "strict"}, {"first_frame": 8}, {"foo": 1}):
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{next(iter(wrong))}'"):
            dfjax.evaluate(table, **wrong)


def test_the_test_split_is_evaluated_unless_all_rows_are_asked_for(table):
    both = pd.concat([table.assign(split="test"), table.assign(split="val", fake_prob=0.5)])
    both["video_id"] = both["split"] + "/" + both["video_id"]
    report, everything = dfjax.evaluate(both), dfjax.evaluate(both, split="all")
    assert (
        report.metrics["overall"]["video_auc"]
        == dfjax.evaluate(table).metrics["overall"]["video_auc"]
    )
    assert (report.metrics["n"]["videos"], report.metrics["split"]) == (12, "test")
    (said,) = [f["message"] for f in report.flags if f["code"] == "split_chosen"]
    assert said.startswith("the 12 rows of split 'test' are evaluated") and "(val 12)" in said
    assert everything.metrics["n"]["videos"] == 24 and "val_threshold" in report.metrics
    assert "threshold_on_evaluated" in [flag["code"] for flag in everything.flags]
    with pytest.raises(UsageError, match="the splits train, val and none is 'test': name the spl"):
        dfjax.evaluate(both.replace({"split": {"test": "train"}}))
    compared = dfjax.compare(both, both.assign(fake_prob=0.5), names=["a", "b"], resamples=10)
    assert compared.videos == 12


def test_checkpoints_are_ranked_without_test_rows(table):
    test, val = table.assign(split="test"), table.assign(split="val")
    val["video_id"] = "v" + val["video_id"]
    wide = pd.concat([test, val], ignore_index=True)
    wide["p_good_on_test"] = wide["fake_prob"].where(wide["split"] == "val", wide["label"])
    wide["p_good_on_val"] = wide["fake_prob"].where(wide["split"] == "test", wide["label"])
    found = evaluate_detectors([wide.drop(columns="fake_prob")], "p_*")
    assert found.chosen["by_dataset"]["unknown"]["checkpoint"] == "good_on_val"
    assert {one.metrics["n"]["videos"] for one in found.reports.values()} == {12}
