"""Tests `dfjax evaluate` on tables: files, exit codes, the JSON object, messages for bad input."""

import json

import pandas as pd
import pytest

from dfjax.commands import evaluate
from dfjax.commands.main import main, make_parser
from dfjax.data.index.records import make_index, make_record, write_index
from dfjax.errors import UsageError
from dfjax.evaluation.tables.predictions import read_predictions, write_predictions

FAKES = {"d/f0": 0.9, "d/f1": 0.7, "d/f2": 0.4}
REALS = {"d/r0": 0.1, "d/r1": 0.3, "d/r2": 0.6}


@pytest.fixture
def scores(tmp_path):
    rows = [{"video_id": k, "label": 1, "fake_prob": v} for k, v in FAKES.items()]
    rows += [{"video_id": k, "label": 0, "fake_prob": v} for k, v in REALS.items()]
    pd.DataFrame(rows).to_csv(tmp_path / "scores.csv", index=False)
    return tmp_path / "scores.csv"


def write(path, leaky):
    rows = [
        make_record(
            video_id=video, dataset="d", label=label, method="DF" if label else "real",
            split="test", target_id=video[2:],
        )
        for label, videos in ((1, FAKES), (0, REALS))
        for video in videos
    ]  # fmt: skip
    person = "f0" if leaky else "somebody"
    rows.append(make_record(video_id="d/t", dataset="d", label=0, split="train", target_id=person))
    write_index(make_index(rows), path, command="test")


def last_json(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_foreign_table_is_measured_and_written(scores, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["evaluate", "--predictions", str(scores), "--out", str(out), "--json"]) == 0
    result = last_json(capsys)
    assert result["overall"]["video_auc"] == pytest.approx(8 / 9)
    assert result == json.loads((out / "metrics.json").read_text())
    assert {p.name for p in out.iterdir()} == {"metrics.json", "predictions.parquet", "roc.png"}


def test_its_own_predictions_give_the_same_metrics_again(scores, tmp_path, capsys):
    out = tmp_path / "out"
    main(["evaluate", "--predictions", str(scores), "--out", str(out), "--json"])
    first = last_json(capsys)
    main(["evaluate", "--predictions", str(out / "predictions.parquet"), "--json"])
    assert last_json(capsys)["overall"] == first["overall"]


def test_own_predictions_say_which_methods_were_held_back(scores, tmp_path, capsys):
    table = read_predictions([scores]).predictions
    table.loc[table["video_id"] == "d/f2", "method"] = "warp"
    path = tmp_path / "p.parquet"
    write_predictions(table, path, checkpoint="best/1", heldout_methods=["warp"])
    assert main(["evaluate", "--predictions", str(path), "--json"]) == 0
    result = last_json(capsys)
    assert result["overall"]["video_auc"] == 1.0
    assert result["unseen_methods"]["warp"]["video_auc"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("leaky", [False, True])
def test_an_identity_also_in_training_is_an_error(scores, tmp_path, capsys, leaky):
    write(tmp_path / "index.parquet", leaky)
    arguments = ["--predictions", str(scores), "--index", str(tmp_path / "index.parquet")]
    assert main(["evaluate", *arguments, "--json"]) == int(leaky)
    result = last_json(capsys)
    assert set(result["by_method"]) == {"DF"} and result["split"] == "test"
    codes = [flag["code"] for flag in result["flags"]]
    assert codes == (["identity_in_training"] if leaky else [])


def test_without_json_a_table_is_printed_with_the_flags(scores, capsys):
    with scores.open("a") as file:
        file.write("d/f0,1,0.2\n")
    assert main(["evaluate", "--predictions", str(scores)]) == 1  # not the mean of 0.9 and 0.2
    printed = capsys.readouterr().out
    assert "overall" in printed and "0.889" in printed
    assert "duplicate_keys: 1 rows repeat the key of an earlier row" in printed
    assert "95 % intervals from resamples of 6 videos" in printed


def test_uncertainty_of_a_table_is_measured_and_told(scores, tmp_path, capsys):
    table = pd.read_csv(scores).assign(entropy=0.5)
    table["mutual_information"] = table["fake_prob_sd"] = [0.0, 0.0, 0.3, 0.0, 0.1, 0.2]
    table.to_csv(scores, index=False)
    assert main(["evaluate", "--predictions", str(scores), "--out", str(tmp_path), "--json"]) == 0
    printed = capsys.readouterr().out
    assert "wrong verdicts 33.3%, found with AUC 1.000 (by the score alone 1.000)" in printed
    assert json.loads(printed.splitlines()[-1])["uncertainty"]["entropy"]["error_auc"] == 0.5
    assert (tmp_path / "uncertainty.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of the arguments --workdir --weights --predictions"),
        (["--predictions", "nothing.csv"], "no predictions file nothing.csv"),
        (["--workdir", "nowhere"], "not a workdir"),
        (["--workdir", "nowhere", "--split", "tset"], "Did you mean 'test'"),
        (["--predictions", "SCORES", "--split", "val"], "no prediction has split 'val'"),
        (["--predictions", "SCORES", "--index", "nothing.parquet"], "no index at"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(scores, capsys, arguments, message):
    arguments = [str(scores) if a == "SCORES" else a for a in arguments]
    assert main(["evaluate", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "unused"),
    [
        (["--defake", "G", "--write", "dfwb"], "--write does not go with --defake"),
        (["--defake", "G", "--mc-dropout", "5"], "--mc-dropout does not go with --defake"),
        (["--defake", "G", "--robustness"], "--robustness does not go with --defake"),
        (["--predictions", "SCORES", "--robustness"], "--robustness does not go with --pred"),
        (["--predictions", "SCORES", "--seed", "3"], "--seed does not go with --predictions"),
        (["--predictions", "SCORES", "--model", "m"], "--model does not go with --predictions"),
        (["--predictions", "SCORES", "--checkpoint", "last"], "--checkpoint does not go with"),
        (["--predictions", "SCORES", "--no-calibration"], "--no-calibration does not go with"),
        (["--predictions", "SCORES", "--false-alarm-rate", "0"], "--false-alarm-rate does not go"),
        (["--predictions", "SCORES", "--detector", "d"], "--detector does not go with --pred"),
        (["--workdir", "W", "--robustness", "--write", "dfwb"], "--write does not go with --rob"),
        (["--workdir", "W", "--robustness", "--miss-rate", "0.1"], "--miss-rate does not go with"),
        (["--workdir", "W", "--robustness", "--protocol", "x"], "--protocol does not go with"),
        (["--workdir", "W", "--identity", "d"], "--identity does not go with --workdir"),
        (["--workdir", "W", "--columns", "a=b"], "--columns does not go with --workdir"),
        (["--weights", "W", "--scores", "a*"], "--scores does not go with --workdir"),
    ],
)
def test_options_that_would_be_ignored_are_refused(scores, capsys, arguments, unused):
    arguments = [str(scores) if a == "SCORES" else a for a in arguments]
    assert main(["evaluate", *arguments]) == 2
    error = capsys.readouterr().err
    assert unused in error and "would ignore it" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    "options", [["--predictions=a.csv"], ["--defake=g"], ["--workdir=w", "--robustness=blur"]]
)
def test_what_is_not_divided_is_refused_in_several_processes(options, monkeypatch):
    args = make_parser("evaluate", evaluate).parse_args(options)
    monkeypatch.setattr("dfjax.processes.count", lambda: 2)
    with pytest.raises(UsageError, match="use one process"):
        evaluate.run(args)
