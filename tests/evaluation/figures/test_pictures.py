"""Tests that pictures of all kinds are written completely, and the choice of what they show."""

import cv2
import numpy as np
import pandas as pd
import pytest

from dfjax.errors import InputError
from dfjax.evaluation import metrics
from dfjax.evaluation.figures.plots import plot_curves, plot_roc
from dfjax.evaluation.figures.sheets import Strip, Tile, choose_examples, draw_sheet, draw_strip


def videos(labels, scores):
    ids = [f"v{i}" for i in range(len(labels))]
    return pd.DataFrame(
        {
            "dataset": "d", "video_id": ids, "unit": "clip", "position": 0, "face": 0,
            "label": labels, "method": "x", "fake_prob": scores, "split": "test",
        }
    )  # fmt: skip


def check_png(path, least=5):
    """A whole PNG with a picture in it, and nothing temporary beside it."""
    picture = cv2.imread(str(path))
    assert picture is not None and picture.std() > least
    assert [p.name for p in path.parent.iterdir() if "partial" in p.name] == []
    return picture


@pytest.mark.parametrize("labels", [[0, 1, 0, 1], [1, 1, 1, 1]])
def test_roc_of_two_classes_and_of_one(tmp_path, labels):
    table = videos(labels, [0.1, 0.9, 0.6, 0.4])
    unseen = {"NT": table.assign(fake_prob=0.5)}
    plot_roc(table, metrics.compute(table), tmp_path / "new" / "roc.png", unseen=unseen, title="t")
    check_png(tmp_path / "new" / "roc.png")


def test_curves_mark_the_last_best_epoch_and_live_with_missing_columns(tmp_path):
    history = tmp_path / "history.csv"
    history.write_text("epoch,train_loss,val_loss,val_video_auc,best\n1,.7,.6,,1\n2,.5,.6,.8,0\n")
    plot_curves(history, tmp_path / "curves.png")
    check_png(tmp_path / "curves.png")
    history.write_text("epoch,train_loss\n")
    with pytest.raises(InputError, match="no epoch"):
        plot_curves(history, tmp_path / "curves.png")
    history.write_text("epoch,train_loss\n1,one\n")
    with pytest.raises(InputError, match="damaged at line 2"):
        plot_curves(history, tmp_path / "curves.png")


def test_examples_are_quantiles_of_both_classes():
    table = videos([0] * 10 + [1] * 3, np.linspace(0, 1, 13))
    chosen = choose_examples(table, 6)
    assert chosen["label"].tolist() == [0, 0, 0, 1, 1, 1]
    assert chosen["video_id"].tolist()[0] == "v0" and chosen["video_id"].tolist()[2] == "v9"
    assert len(choose_examples(table, 100)) == 13


@pytest.mark.parametrize("count", [1, 7])
def test_sheet(tmp_path, count):
    frames = np.full((4, 32, 32, 3), 90, np.uint8)
    tiles = [Tile(frames, i % 2, 0.3, "$odd_name") for i in range(count)]
    draw_sheet(tiles, tmp_path / "sheet.png", title="t")
    check_png(tmp_path / "sheet.png")


@pytest.mark.parametrize("frames", [1, 5])
def test_strip_shows_boxes_and_survives_any_name(tmp_path, frames):
    strip = Strip(
        frames=[np.full((60, 80, 3), 40, np.uint8)] * frames,
        boxes=np.tile(np.float32([20, 10, 60, 50]), (frames, 1)),
        found=np.arange(frames) % 2 == 0,
        numbers=list(range(frames)),
        clip_starts=[0],
        clip_ends=[frames - 1],
        clip_probs=[0.7],
    )
    draw_strip(strip, path=tmp_path / "s.png", title=r"$\frac{ 100% {", fake_prob=0.7)
    picture = check_png(tmp_path / "s.png")
    assert (picture.reshape(-1, 3) == 40).all(axis=1).mean() > 0.02  # the frames are there
