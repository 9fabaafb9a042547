"""Tests rankings: values by hand, joins by id, rows without labels."""

import json

import numpy as np
import pandas as pd
import pytest

from dfjax.commands.main import main
from dfjax.errors import UsageError
from dfjax.evaluation.report.ranking import rank, read_unlabelled


@pytest.fixture
def write(tmp_path):
    def write(name, **columns):
        path = tmp_path / name
        pd.DataFrame(columns).to_csv(path, index=False)
        return path

    return write


def ranked(paths, by):
    return rank([read_unlabelled(path) for path in paths], by)


def test_the_least_confident_first_equal_ones_by_id(write):
    path = write("a.csv", video_id=["c", "a", "b", "d"], fake_prob=[0.9, 0.6, 0.4, 1.0])
    found = ranked([path], "confidence").videos
    assert found["video_id"].tolist() == ["a", "b", "c", "d"]
    np.testing.assert_allclose(found["value"], [0.4, 0.4, 0.1, 0.0], atol=1e-12)
    assert found["label"].isna().all() and set(found["method"]) == {"unknown"}
    assert found["rank"].tolist() == [1, 2, 3, 4]


def test_the_loss_of_labels_leaves_out_videos_without_one(write):
    path = write("a.csv", video_id=["a", "b", "c"], label=[1, 0, None], fake_prob=[0.2, 0.2, 0.5])
    found = ranked([path], "loss")
    assert found.videos["video_id"].tolist() == ["a", "b"] and found.left_out == 1
    np.testing.assert_allclose(found.videos["value"], -np.log([0.2, 0.8]))
    assert found.videos["label"].tolist() == [1, 0]


def test_disagreement_joins_files_by_id_and_labels_from_any(write):
    one = write("a.csv", video_id=["x", "y", "z"], label=[None, 1, 0], fake_prob=[0.1, 0.5, 0.5])
    two = write("b.csv", video_id=["y", "x"], label=["real", ""][::-1], fake_prob=[0.7, 0.9])
    with pytest.raises(UsageError, match="y is labelled real and fake"):
        ranked([one, write("c.csv", video_id=["y"], label=[0], fake_prob=[0.7])], "disagreement")
    found = ranked([one, two], "disagreement")
    assert found.videos["video_id"].tolist() == ["x", "y"] and found.left_out == 1
    np.testing.assert_allclose(found.videos["value"], [0.4, 0.1])
    np.testing.assert_allclose(found.videos["fake_prob"], [0.5, 0.6])
    assert found.videos["label"].tolist() == [0, 1]


def test_uncertainty_is_the_mean_over_clips_and_files(write):
    first = write(
        "a.csv", video_id=["a", "a", "b"], clip=[0, 10, 0], fake_prob=[0.5] * 3,
        mutual_information=[0.1, 0.3, 0.1],
    )  # fmt: skip
    second = write("b.csv", video_id=["b"], fake_prob=[0.5], mutual_information=[0.5])
    found = ranked([first, second], "uncertainty").videos
    assert found["video_id"].tolist() == ["b", "a"]
    np.testing.assert_allclose(found["value"], [0.3, 0.2])


def test_what_predict_wrote_is_read_by_its_inputs(tmp_path, capsys):
    path = tmp_path / "predictions.jsonl"
    lines = [
        {"input": "a.mp4", "fake_prob": 0.9, "mutual_information": 0.1},
        {"input": "b.mp4", "fake_prob": 0.5, "mutual_information": 0.2},
        {"input": "c.mp4", "fake_prob": None, "error": "no face"},
        {"input": "a.mp4", "fake_prob": 0.8, "mutual_information": 0.3},
    ]
    texts = [json.dumps(line) + "\n" for line in lines]
    texts.insert(2, texts[2][:20] + "\n")  # a killed process was writing it
    path.write_text("".join(texts))
    out = tmp_path / "rank.csv"
    arguments = ["--by", "uncertainty", "--predictions", str(path), "--out", str(out)]
    assert main(["data", "rank", *arguments, "--top", "1", "--json"]) == 0
    printed = capsys.readouterr().out
    assert "a.mp4" in printed and "0.800" in printed
    summary = json.loads(printed.splitlines()[-1])
    assert [v["video_id"] for v in summary["videos"]] == ["a.mp4"] and summary["left_out"] == 0
    assert summary["videos"][0]["label"] is None
    written = pd.read_csv(out)
    assert written["video_id"].tolist() == ["a.mp4"] and written["value"].tolist() == [0.3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--by": "entropi"}, "unknown ranking 'entropi'"),
        ({"--by": "uncertainty"}, "passes of dropout or an ensemble"),
        ({"--by": "disagreement"}, "needs at least two"),
        ({"--by": "loss"}, "no video can be ranked by loss"),
        ({"--predictions": "nothing.csv"}, "no predictions file nothing.csv"),
        ({"--predictions": "nothing.jsonl"}, "no predictions file nothing.jsonl"),
        ({"--top": "0"}, "top must be positive"),
        ({"--out": "."}, "is a folder"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(write, tmp_path, capsys, changes, message):
    path = write("a.csv", video_id=["a"], fake_prob=[0.9])
    options = {"--by": "confidence", "--predictions": str(path), "--out": str(tmp_path / "r.csv")}
    arguments = [text for pair in (options | changes).items() for text in pair]
    assert main(["data", "rank", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
