"""The strict numbers of evaluate, why, compare and protocol are the same, bit by bit.

The table has at once what could make them differ: several splits, data sets and methods, a method
held back from training, frames beside clips and scores of whole videos, repeated keys, several
faces, rows without a score, rows out of order, folder names of several videos, scores of 0.5.
"""

import itertools

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

import dfjax
from dfjax.evaluation.conventions.gap_tables import explain_numbers
from dfjax.evaluation.tables.predictions import read_predictions, write_predictions
from dfjax.studies.protocols import run_protocol

HELD = "NeuralTextures"
METHODS = ("real", "Deepfakes", "Face2Face", HELD)
ROWS = {"frame": 5, "clip": 2, "video": 1}
KEY = ["dataset", "video_id", "unit", "position", "face"]


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    rows = []
    for split, dataset, method, n in itertools.product(
        ("val", "test"), ("ffpp", "dfd"), METHODS, range(7)
    ):
        label = int(method != "real")
        level = 0.25 + 0.05 * n + 0.2 * label * (method != HELD)
        for unit in list(ROWS)[: 1 + n % 3]:
            for position, face in itertools.product(range(ROWS[unit]), range(1 + n % 2)):
                score = float(np.clip(rng.normal(level, 0.2), 0, 1).round(2))
                video = (split, dataset, f"{method}/{split}/{label}{n:03d}", method, label)
                rows.append((*video, unit, position, face, score))
    names = ["split", "dataset", "video_id", "method", "label", *KEY[2:], "fake_prob"]
    table = pd.DataFrame(rows, columns=names)
    table.loc[rng.choice(len(table), 20, replace=False), "fake_prob"] = np.nan
    table.loc[rng.choice(len(table), 20, replace=False), "fake_prob"] = 0.5
    again = table.sample(40, random_state=1).assign(fake_prob=rng.uniform(0, 1, 40).round(2))
    return pd.concat([table, again]).sample(frac=1.0, random_state=2).reset_index(drop=True)


@pytest.fixture(scope="module")
def saved(table, tmp_path_factory):
    path = tmp_path_factory.mktemp("strict") / "scores.parquet"
    rows = read_predictions([table]).predictions
    write_predictions(rows, path, checkpoint="", heldout_methods=[HELD])
    return path


@pytest.fixture(scope="module")
def strict(saved):
    return dfjax.evaluate(saved)


def test_the_numbers_are_those_of_scikit_learn(table, strict):
    overall = strict.metrics["overall"]
    rows = table[(table["split"] == "test") & (table["method"] != HELD)].dropna()
    rows = rows.drop_duplicates(KEY)
    frames = rows[rows["unit"] == "frame"]
    expected = sk.roc_auc_score(frames["label"], frames["fake_prob"])
    assert overall["frame_auc"] == pytest.approx(expected, abs=1e-12)
    rank = rows["unit"].map({"video": 0, "clip": 1, "frame": 2})
    coarsest = rows[rank == rank.groupby([rows["dataset"], rows["video_id"]]).transform("min")]
    videos = coarsest.groupby(KEY[:2]).agg({"label": "first", "fake_prob": "mean"})
    labels, scores = videos["label"], videos["fake_prob"].round(12)  # equal means are ties
    assert overall["video_auc"] == pytest.approx(sk.roc_auc_score(labels, scores), abs=1e-12)
    assert overall["ap"] == pytest.approx(sk.average_precision_score(labels, scores), abs=1e-12)
    assert overall["accuracy"] == pytest.approx(((scores >= 0.5) == labels).mean(), abs=1e-12)


def test_why_gives_the_numbers_of_evaluate(saved, strict):
    names = {
        "video_auc": "video_auc", "video_ap": "ap", "video_eer": "eer", "frame_auc": "frame_auc",
        "video_eer:eer=nearest": "eer_nearest", "video_accuracy": "accuracy",
    }  # fmt: skip
    for convention, name in names.items():
        gap = explain_numbers(convention, "video_auc:pooled", [saved])
        assert gap.value_a == strict.metrics["overall"][name], name
    assert any("NeuralTextures, held back from training" in note for note in gap.notes)
    assert any("rows of split 'test' are evaluated" in note for note in gap.notes)


@pytest.mark.parametrize(
    ("a", "change"),
    [
        ("frame_accuracy", "half=real"),
        ("frame_auc", "repeated=keep"),
        ("frame_auc", "failed=half"),
        ("video_auc", "first=1"),
    ],
)
def test_every_convention_is_a_cause_here(saved, a, change):
    (cause,) = explain_numbers(a, f"{a}:{change}", [saved]).causes
    assert cause.name == change.partition("=")[0] and cause.share != 0


def test_the_benchmark_leaves_out_the_same_methods(saved):
    compat = dfjax.evaluate(saved, protocol="deepfakebench-compat").metrics
    rules = "failed=first,repeated=keep,half=real"
    numbers = {"frame_auc": "frame_auc", "video_auc:pooled": "video_auc"}
    numbers |= {"frame_accuracy": "accuracy", "frame_ap": "ap", "frame_eer:eer=nearest": "eer"}
    for convention, name in numbers.items():
        text = f"{convention},{rules}" if ":" in convention else f"{convention}:{rules}"
        gap = explain_numbers(text, "video_auc", [saved])
        assert gap.value_a == compat["overall"][name], name
    assert set(compat["unseen_methods"]) == {f"dfd/{HELD}", f"ffpp/{HELD}"}
    assert not any(HELD in name for name in compat["by_method"])
    (repeated,) = [f["message"] for f in compat["flags"] if f["code"] == "duplicate_keys"]
    assert repeated.endswith("rows repeat the key of an earlier row, and are counted too")


def test_what_the_benchmark_has_no_numbers_for_is_left_out(saved):
    compat = dfjax.evaluate(saved, protocol="deepfakebench-compat").metrics
    gone = {"recall_at_fpr", "val_threshold", "resampled", "clusters", "by_identity"}
    assert not gone & set(compat)
    assert "left out (by_identity, recall_at_fpr" in compat["protocol"]


def test_compare_gives_the_numbers_of_evaluate(saved, strict, table, tmp_path):
    other = tmp_path / "other.csv"
    table.assign(fake_prob=1 - table["fake_prob"]).drop(columns="method").to_csv(other, index=False)
    overall = strict.metrics["overall"]
    for metric in ("video_auc", "ap", "eer", "accuracy"):
        compared = dfjax.compare(saved, other, metric=metric)
        assert compared.table["value_a"][0] == overall[metric]
    assert compared.held_back == (HELD,) and "held back from training" in repr(compared)
    assert not any(compared.left_out.values())
    again = dfjax.compare(strict, other)
    assert again.table["value_a"][0] == overall["video_auc"]


def test_protocols_give_the_numbers_of_evaluate(saved, strict, tmp_path):
    columns = {"F": {"dataset": "ffpp"}, "NT": {"dataset": "ffpp", "methods": (HELD,)}}
    (tmp_path / "p.py").write_text(
        f"def get_protocol():\n    return {{'title': 'P', 'columns': {columns}}}\n"
    )
    results = {
        split: run_protocol(str(tmp_path / "p.py"), {"mine": saved}, split=split, resamples=20)
        for split in (None, "val")
    }
    cells = {s: {c.column: c.value for c in one.table.cells} for s, one in results.items()}
    found = strict.metrics
    assert cells[None]["F"] == found["by_dataset"]["ffpp"]["video_auc"]
    assert cells[None]["NT"] == found["unseen_methods"][f"ffpp/{HELD}"]["video_auc"]
    assert any("split 'test'" in note for note in results[None].notes)
    val = dfjax.evaluate(saved, split="val").metrics
    assert cells["val"]["F"] == val["by_dataset"]["ffpp"]["video_auc"]
