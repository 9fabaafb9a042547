"""The defects of DeepfakeBench's evaluation: each is shown in compat, and absent in strict."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

import dfjax
from dfjax.commands.main import main
from dfjax.errors import UsageError
from dfjax.evaluation.conventions.convention import Convention
from dfjax.evaluation.conventions.protocol_names import COMPAT
from dfjax.evaluation.conventions.scored_rows import Scored
from dfjax.evaluation.report import result_files
from dfjax.inference.tables import TableOptions, evaluate_detectors

METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")


def frames(videos, unit="frame"):
    """A table of (video_id, method, scores of its frames)."""
    rows = [
        {"video_id": video, "method": method, "label": int(method != "real"), unit: place}
        | {"fake_prob": score, "dataset": "ffpp"}
        for video, method, scores in videos
        for place, score in enumerate(scores)
    ]
    return pd.DataFrame(rows)


def both(table, **options):
    strict = dfjax.evaluate(table).metrics
    compat = dfjax.evaluate(table, protocol=COMPAT, **options).metrics
    codes = {flag["code"] for flag in compat["flags"]}
    return strict["overall"], compat["overall"], codes, {f["code"] for f in strict["flags"]}


def faces(n=40, seed=0, gap=0.1):
    """Reals, and the same folder names for four manipulations, with independent scores."""
    rng = np.random.default_rng(seed)
    videos = [
        (f"ffpp/youtube/c23/{k:03d}", "real", [np.clip(rng.normal(0.45, 0.15), 0, 1)])
        for k in range(n)
    ]
    fakes = [
        (f"ffpp/{method}/c23/{k:03d}_{k + 1:03d}", method, [rng.normal(0.45 + gap, 0.15)])
        for method in METHODS
        for k in range(n)
    ]
    table = frames(videos + fakes)
    return table.assign(fake_prob=table["fake_prob"].clip(0, 1))


def test_videos_of_one_folder_name_are_pooled():
    table = faces()
    strict, compat, codes, strict_codes = both(table)
    assert strict["video_auc"] == pytest.approx(
        sk.roc_auc_score(table["label"], table["fake_prob"]), abs=1e-9
    )
    folders = table.assign(folder=table["video_id"].str.split("/").str[-1]).groupby("folder")
    pooled = folders.agg(label=("label", "first"), p=("fake_prob", "mean"))
    assert compat["video_auc"] == pytest.approx(sk.roc_auc_score(pooled.label, pooled.p), abs=1e-9)
    assert compat["video_auc"] > strict["video_auc"] + 0.05  # the pool is more certain
    assert "pooled_folders" in codes - strict_codes


def test_one_method_alone_is_not_pooled():
    table = faces()
    got = dfjax.evaluate(table, protocol=COMPAT).metrics["by_method"]
    assert set(got) == set(METHODS)
    alone = table[table["method"].isin(["real", "FaceSwap"])]
    expected = sk.roc_auc_score(alone["label"], alone["fake_prob"])
    assert got["FaceSwap"]["video_auc"] == pytest.approx(expected, abs=1e-9)


def test_the_first_frames_are_taken_for_evenly_spread_ones():
    calm, late = [0.2] * 4 + [0.9] * 4, [0.4] * 8
    table = frames([("d/f0", "x", calm), ("d/r0", "real", late)])
    strict, compat, codes, strict_codes = both(table, first_frames=4)
    assert strict["video_auc"] == 1.0 and compat["video_auc"] == 0.0  # 0.55, then 0.2, over 0.4
    assert "first_frames" in codes - strict_codes


def test_clips_are_counted_as_videos():
    table = frames([("d/f0", "x", [0.9, 0.3]), ("d/r0", "real", [0.4, 0.4])], unit="clip")
    strict, compat, codes, strict_codes = both(table)
    assert strict["video_auc"] == 1.0 and strict["clip_auc"] == 0.5
    assert compat["video_auc"] == compat["clip_auc"] == 0.5
    assert "clips_as_videos" in codes - strict_codes


def test_a_frame_that_failed_has_the_score_and_label_of_the_first_one():
    table = frames([("d/r0", "real", [0.9]), ("d/f0", "x", [np.nan, 0.6]), ("d/r1", "real", [0.1])])
    strict, compat, codes, strict_codes = both(table)
    # The failed frame counts as a real with 0.9: of three reals one is below 0.6.
    assert strict["frame_auc"] == 0.5 and compat["frame_auc"] == pytest.approx(1 / 3)
    assert "failed_as_first" in codes - strict_codes and "non_finite" in strict_codes - codes


def test_an_auc_that_failed_frames_leave_undefined_is_explained():
    scores = {"d/r0": [0.2, 0.3], "d/f0": [0.9, np.nan], "d/f1": [np.nan, 0.8]}
    table = frames([(name, "x" if "f" in name else "real", rows) for name, rows in scores.items()])
    strict, compat, codes, strict_codes = both(table)
    assert strict["video_auc"] == 1.0 and compat["video_auc"] is None
    assert "auc_undefined" in codes - strict_codes


def test_the_figure_and_the_words_are_of_the_frames_that_are_used(tmp_path, monkeypatch):
    table = frames([("d/f0", "x", [0.9, 0.3]), ("d/r0", "real", [0.4, 0.6])])
    drawn = []
    monkeypatch.setattr(
        result_files, "plot_roc", lambda *args, **named: drawn.append((args, named))
    )
    report = dfjax.evaluate(table, protocol=COMPAT, first_frames=1, out=tmp_path)
    ((rows, metrics, *_), named), found = drawn[0], report.metrics
    assert named["unit"] == "frame" and rows["fake_prob"].tolist() == [0.9, 0.4]
    assert sk.roc_auc_score(rows["label"], rows["fake_prob"]) == metrics["frame_auc"]
    assert found["n"]["frames"] == 2
    assert "AP, EER and acc of single frames; macro is the mean over data sets" in repr(report)
    assert "95 % intervals" not in repr(report) + report._repr_html_()


def test_the_means_are_over_data_sets():
    table = faces(8)
    table["dataset"] = np.where(table["method"].isin(METHODS[:2]), "one", "two")
    reals = table[table["label"] == 0].assign(dataset="one")
    found = dfjax.evaluate(pd.concat([table, reals]), protocol=COMPAT).metrics
    for name, parts in (("macro", "by_dataset"), ("macro_datasets", "by_dataset")):
        values = [part["video_auc"] for part in found[parts].values()]
        assert len(values) > 1 and found[name]["video_auc"] == pytest.approx(np.mean(values))


def test_accuracies_of_classes_assume_sorted_labels():
    table = frames([("d/f0", "x", [0.9]), ("d/r0", "real", [0.1]), ("d/f1", "x", [0.2])])
    strict, compat, codes, strict_codes = both(table)
    assert (strict["recall"], strict["recall_real"]) == (0.5, 1.0)
    assert (compat["acc_fake"], compat["acc_real"]) == (0.5, 1.0)  # by luck, as the rows lie
    moved = table.iloc[[2, 1, 0]].reset_index(drop=True)
    strict, compat, codes, strict_codes = both(moved)
    assert (strict["recall"], strict["recall_real"]) == (0.5, 1.0)
    assert (compat["acc_fake"], compat["acc_real"]) == (1.0, 0.0)
    assert "unsorted_labels" in codes - strict_codes


def test_the_eer_accuracy_and_ap_are_those_of_frames():
    rng = np.random.default_rng(1)
    videos = [
        (f"d/v{k}", ("real", "x")[k % 2], rng.uniform(0.1 * (k % 2), 1, 5)) for k in range(20)
    ]
    table = frames(videos)
    _, compat, _, _ = both(table)
    labels, scores = table["label"], table["fake_prob"]
    fpr, tpr, _ = sk.roc_curve(labels, scores)  # as the benchmark calls it
    assert compat["eer"] == pytest.approx(fpr[np.argmin(np.abs(1 - tpr - fpr))], abs=1e-9)
    assert compat["ap"] == pytest.approx(sk.average_precision_score(labels, scores), abs=1e-9)
    assert compat["accuracy"] == pytest.approx(sk.accuracy_score(labels, scores > 0.5), abs=1e-9)
    assert compat["frame_auc"] == pytest.approx(sk.roc_auc_score(labels, scores), abs=1e-9)


def test_the_checkpoint_is_chosen_on_the_test_set():
    rows = pd.DataFrame(
        {"dataset": "d", "video_id": [f"v{n}" for n in range(8)], "unit": "frame"}
        | {"position": 0, "face": 0}
        | {"label": [0, 1] * 4, "a": [0.1, 0.9] * 2 + [0.8, 0.2, 0.1, 0.9]}
        | {"b": [0.9, 0.1, 0.1, 0.9] + [0.1, 0.9] * 2}
    )
    validation = np.arange(8) < 4
    scored = Scored(rows, ("a", "b"), selected=~validation, validation=validation)
    assert scored.measure(Convention(chosen="val")) == 0.75  # a, which is best on validation
    assert scored.measure(Convention(chosen="test")) == 1.0  # b


def test_a_table_of_checkpoints_is_reported_by_the_best_on_the_test_set(tmp_path, capsys):
    rows = pd.DataFrame(
        {"video_id": [f"v{n}" for n in range(8)], "label": [0, 1] * 4, "frame": 0}
        | {"split": ["val"] * 4 + ["test"] * 4, "p_a": [0.1, 0.9] * 2 + [0.8, 0.2, 0.1, 0.9]}
        | {"p_b": [0.9, 0.1, 0.1, 0.9] + [0.1, 0.9] * 2}
    )
    rows.to_csv(tmp_path / "epochs.csv", index=False)
    arguments = ["evaluate", "--predictions", str(tmp_path / "epochs.csv"), "--scores", "p_*"]
    found = {}
    for protocol in ("strict", COMPAT):
        main([*arguments, "--split", "test", "--protocol", protocol, "--json"])
        found[protocol] = json.loads(capsys.readouterr().out.splitlines()[-1])["chosen"]
    # a is best on validation and has 3/4 on the test set; b has 1 there.
    assert found["strict"] == {
        "on": "val", "by_dataset": {"unknown": {"checkpoint": "a", "value": 0.75}},
    }  # fmt: skip
    assert found[COMPAT] == {
        "on": "test", "by_dataset": {"unknown": {"checkpoint": "b", "value": 1.0}},
    }  # fmt: skip


def test_the_verb_writes_the_protocol(tmp_path, capsys):
    faces(4).to_csv(tmp_path / "s.csv", index=False)
    arguments = ["evaluate", "--predictions", str(tmp_path / "s.csv"), "--json"]
    main([*arguments, "--protocol", COMPAT, "--first-frames", "32", "--out", str(tmp_path / "o")])
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert printed["protocol"].startswith(COMPAT) and "first 32 frames" in printed["protocol"]
    assert (
        printed["strict"]["video_auc"]
        == dfjax.evaluate(tmp_path / "s.csv").metrics["overall"]["video_auc"]
    )
    main(arguments)
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["protocol"].startswith("strict")
    with pytest.raises(UsageError, match="first_frames needs the protocol deepfakebench-compat"):
        dfjax.evaluate(tmp_path / "s.csv", first_frames=8)
    with pytest.raises(UsageError, match="unknown protocol 'dfb'"):
        dfjax.evaluate(tmp_path / "s.csv", protocol="dfb")


def test_numbers_that_pooling_makes_undefined_are_written(tmp_path):
    table = frames([("A/1", "x", [0.9]), ("B/1", "real", [0.1])])
    got = dfjax.evaluate(table, protocol=COMPAT, out=tmp_path / "o").metrics
    assert got["overall"]["video_auc"] is None and got["strict"]["video_auc"] == 1.0
    assert got["macro_datasets"] == got["macro"] and (tmp_path / "o" / "roc.png").is_file()


def test_thresholds_that_say_little_are_flagged(tmp_path):
    val = frames([("d/f8", "x", [0.4]), ("d/r8", "real", [0.2])]).assign(split="val")
    test = frames([("d/f0", "x", [0.9]), ("d/r0", "real", [0.35])]).assign(split="test")
    mixed = pd.concat([test, val], ignore_index=True)
    for split, expected in (("all", ["d/f8", "d/r8"]), ("test", [])):
        flags = dfjax.evaluate(mixed, split=split).flags
        ids = [flag["ids"] for flag in flags if flag["code"] == "threshold_on_evaluated"]
        assert ids == ([expected] if expected else [])
    val.iloc[:1].to_csv(tmp_path / "fakes.csv", index=False)
    found = dfjax.evaluate(test, threshold_from=tmp_path / "fakes.csv")
    assert "no_threshold" in {flag["code"] for flag in found.flags}
    assert found.metrics["overall"]["accuracy_at_val"] is None
    with pytest.raises(UsageError, match="threshold_from go with predictions"):
        dfjax.evaluate(tmp_path / "run", threshold_from=tmp_path / "fakes.csv")
    options = TableOptions(threshold_from=tmp_path / "fakes.csv")
    with pytest.raises(UsageError, match="threshold_from is of one detector"):
        evaluate_detectors([test], "fake_*", options)


def test_a_threshold_frozen_on_validation(tmp_path):
    table = frames([("d/f0", "x", [0.9]), ("d/f1", "x", [0.4]), ("d/r0", "real", [0.35])])
    val = frames([("d/f8", "x", [0.4]), ("d/r8", "real", [0.2])])
    val.to_csv(tmp_path / "val.csv", index=False)
    got = dfjax.evaluate(table, threshold_from=tmp_path / "val.csv").metrics
    assert got["val_threshold"]["threshold"] == pytest.approx(0.3)
    assert got["overall"]["accuracy_at_val"] == pytest.approx(2 / 3)  # 0.35 is called fake
    mixed = pd.concat([table.assign(split="test"), val.assign(split="val")])
    again = dfjax.evaluate(mixed, split="test").metrics
    assert again["overall"]["accuracy_at_val"] == got["overall"]["accuracy_at_val"]
    assert dfjax.evaluate(table).metrics["overall"]["accuracy_at_val"] is None
