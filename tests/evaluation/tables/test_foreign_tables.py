"""Tables of other programs: names of columns, scales, wide tables, benchmarks, decisions."""

import json

import numpy as np
import pandas as pd
import pytest

import dfjax
from dfjax.commands.main import main
from dfjax.errors import UsageError
from dfjax.evaluation.tables.column_names import TableForm, parse_columns
from dfjax.evaluation.tables.decisions import explain
from dfjax.evaluation.tables.deepfakebench_scores import write_scores
from dfjax.evaluation.tables.dfwb_scores import find_meta, write_dfwb
from dfjax.evaluation.tables.predictions import read_predictions
from dfjax.evaluation.tables.wide_tables import find_detectors, read_detectors
from dfjax.inference.tables import TableOptions, evaluate_detectors


def read(tmp_path, text, columns=None, scale=None, name="scores.csv"):
    (tmp_path / name).write_text(text)
    return read_predictions([tmp_path / name], form=TableForm(columns or {}, scale))


def said(found, code="read_as"):
    return " ".join(flag["message"] for flag in found.flags if flag["code"] == code)


@pytest.mark.parametrize(
    ("header", "note"),
    [
        ("filename,label,score", "video_id=filename, fake_prob=score; the scores were read as"),
        ("video_name,true_label,avg_prob_fake", "video_id=video_name, label=true_label, fake_prob"),
        ("id,target,pred", "video_id=id, label=target, fake_prob=pred; the scores"),
    ],
)
def test_unmistakable_columns_are_guessed_and_said(tmp_path, header, note):
    found = read(tmp_path, f"{header}\n007.mp4,REAL,0.25\n008.mp4,FAKE,0.75\n")
    assert found.predictions["video_id"].tolist() == ["007.mp4", "008.mp4"]
    assert found.predictions["label"].tolist() == [0, 1]
    assert found.predictions["fake_prob"].tolist() == [0.25, 0.75]
    assert note in said(found)


def test_named_columns_win_and_those_they_replace_are_kept(tmp_path):
    text = "file,label,truth,p,q\n003,x,1,0.75,0.5\n004,y,0,0.25,0.5\n"
    found = read(tmp_path, text, {"label": "truth", "fake_prob": "p"})
    table = found.predictions
    assert table["video_id"].tolist() == ["003", "004"] and table["label"].tolist() == [1, 0]
    assert table["label (as written)"].tolist() == ["x", "y"]
    assert "label=truth, fake_prob=p" in said(found) and "video_id=file" in said(found)


def test_columns_that_could_be_several_are_refused(tmp_path):
    with pytest.raises(UsageError, match="fake_prob may be any of the columns score, prob; name"):
        read(tmp_path, "video_id,label,score,prob\na,1,0.5,0.5\n")
    with pytest.raises(UsageError, match="unknown column of .*'nothing'"):
        read(tmp_path, "video_id,label,score\na,1,0.5\n", {"fake_prob": "nothing"})
    assert parse_columns("video_id=a, label = b") == {"video_id": "a", "label": "b"}
    for text in ("video_id", "a=", "label=a,label=b"):
        with pytest.raises(UsageError, match="columns are named as"):
            parse_columns(text)


def test_the_scale_is_never_guessed(tmp_path):
    header = "video_id,label,score\n"
    with pytest.raises(UsageError, match=r"not -2; .* or give the scale 'logit' \(rows 1, 2\)"):
        read(tmp_path, header + "a,0,-2\nb,1,2\n")
    with pytest.raises(UsageError, match=r"give the scale 'percent' \(row 2\)"):
        read(tmp_path, header + "a,0,1\nb,1,90\n")
    logits = read(tmp_path, header + "a,0,-2\nb,1,2\n", scale="logit").predictions
    np.testing.assert_allclose(logits["fake_prob"], 1 / (1 + np.exp([2.0, -2.0])), rtol=1e-15)
    percent = read(tmp_path, header + "a,0,1\nb,1,90\n", scale="percent")
    assert percent.predictions["fake_prob"].tolist() == [0.01, 0.9]
    doubtful = read(tmp_path, header + "a,0,0.1\nb,1,0.9\n", scale="percent")
    assert "at most 1 %" in said(doubtful, "scale_doubtful")
    rows = "".join(f"v{n},{n % 2},{n / 20}\n" for n in range(20))
    assert "all logits lie in" in said(
        read(tmp_path, "video_id,label,logit\n" + rows), "scale_doubtful"
    )
    with pytest.raises(UsageError, match="unknown scale 'odds'"):
        TableForm(scale="odds")


def test_errors_name_the_rows(tmp_path):
    with pytest.raises(UsageError, match=r"not maybe \(rows 2, 3\)"):
        read(tmp_path, "video_id,label,fake_prob\na,1,1\nb,maybe,1\nc,maybe,0\n")
    with pytest.raises(UsageError, match=r"not numbers, such as high \(row 2\)"):
        read(tmp_path, "video_id,label,fake_prob\na,1,1\nb,1,high\n")


def test_decisions_of_one_threshold_name_it(tmp_path):
    text = "video_name,true_label,avg_prob_fake,video_pred_by_avg\n"
    rows = "a,FAKE,0.9,FAKE\nb,REAL,0.6,REAL\nc,FAKE,0.7,FAKE\nd,REAL,0.1,REAL\n"
    assert "between 0.6 and 0.7; the metrics use 0.5" in said(
        read(tmp_path, text + rows), "decision_threshold"
    )
    wrong = read(tmp_path, text + rows + "e,FAKE,0.95,REAL\n")
    (flag,) = [f for f in wrong.flags if f["code"] == "decisions_unexplained"]
    assert flag["ids"] == ["e"] and "1 of 5 differ" in flag["message"]


def test_the_best_threshold_by_hand():
    low, high, wrong = explain(np.array([0.9, 0.8, 0.8, 0.2]), np.array([True, True, False, False]))
    assert (low, high) == (0.8, 0.9) and wrong.tolist() == [False, True, False, False]
    low, high, wrong = explain(np.array([0.1, 0.2]), np.array([True, True]))
    assert (low, high) == (-np.inf, 0.1) and not wrong.any()


WIDE = (
    "id,modality,label,generator,prob_sbi,prob_effort\n"
    "a,image,fake,g1,0.9,0.8\nb,image,real,,0.2,\nc,image,fake,g2,0.6,0.4\nd,image,real,,0.1,0.5\n"
)


def test_a_wide_table_gives_each_detector_its_rows(tmp_path):
    (tmp_path / "wide.csv").write_text(WIDE)
    found = read_detectors([tmp_path / "wide.csv"], "prob_*")
    assert list(found) == ["sbi", "effort"]
    assert found["sbi"].predictions["fake_prob"].tolist() == [0.9, 0.2, 0.6, 0.1]
    effort = found["effort"]
    assert effort.predictions["video_id"].tolist() == ["a", "c", "d"]
    (flag,) = [f for f in effort.flags if f["code"] == "no_score"]
    assert flag["ids"] == ["b"] and "1 of 4 rows" in flag["message"]
    assert effort.predictions["method"].tolist() == ["g1", "g2", "real"]
    assert "prob_sbi" not in effort.predictions


@pytest.mark.parametrize("split", [None, "all"])
def test_detectors_of_the_same_rows_share_the_memory_of_the_rest(split):
    """With a table for each detector, sixty detectors needed sixty times the memory."""
    rows = {"video_id": list("abcd"), "label": [0, 1] * 2, "split": ["val", "test", "test", "test"]}
    table = pd.DataFrame(rows | {"p_a": [np.nan, 0.9, 0.3, 0.8]} | {f"p_{k}": 0.5 for k in "bc"})
    options = TableOptions(split=split)
    reports = evaluate_detectors([table], "p_*", options).reports
    b, c = (reports[name].predictions for name in "bc")
    assert list(b) == list(reports["a"].predictions) and len(b) == (4 if split else 3)
    assert b["fake_prob"].tolist() == [0.5] * len(b)
    for name in ("unit", "label", "position", "face"):
        assert np.shares_memory(b[name].to_numpy(), c[name].to_numpy()), name


def test_names_of_detectors():
    assert [one.name for one in find_detectors(["a_p", "b_p", "p"], "*_p")] == ["a", "b"]
    with pytest.raises(UsageError, match="no column matches x_"):
        find_detectors(["a"], "x_*")
    with pytest.raises(UsageError, match="same name twice"):
        find_detectors(["p_a/b", "p_a b"], "p_*")


def test_a_wide_table_is_evaluated_and_compared(tmp_path, capsys):
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    scores = {f"prob_{name}": np.clip(rng.normal(0.3 + gap * labels, 0.2), 0, 1).round(4)
              for name, gap in (("good", 0.4), ("bad", 0.05))}  # fmt: skip
    table = pd.DataFrame({"id": [f"v{n}" for n in range(60)], "label": labels, **scores})
    table.loc[3, "prob_bad"] = np.nan
    table.to_csv(tmp_path / "wide.csv", index=False)
    out = tmp_path / "out"
    arguments = ["evaluate", "--predictions", str(tmp_path / "wide.csv"), "--scores", "prob_*"]
    assert main([*arguments, "--out", str(out), "--json"]) == 1  # bad has one score less
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(printed["detectors"]) == {"good", "bad"}
    assert printed["detectors"]["bad"]["n"]["unreadable"] == 1
    assert json.loads((out / "good" / "metrics.json").read_text()) == printed["detectors"]["good"]
    (row,) = json.loads((out / "comparison.json").read_text())["comparison"]
    assert (row["a"], row["b"]) == ("good", "bad") and row["difference"] > 0.2
    assert row["p_value"] == row["p_value_holm"] < 0.01 and row["p_delong"] < 0.01
    assert "| good | bad |" in (out / "comparison.md").read_text()
    assert main([*arguments, "--out", str(out)]) == 1  # its own files are replaced


def test_dfwb_files_are_written_and_read(tmp_path):
    text = "video_id,dataset,label,method,fake_prob\na,d,1,x,0.75\nb,d,0,real,0.25\nc,d,1,x,\n"
    predictions = read(tmp_path, text).predictions
    path = tmp_path / "mine.scores.csv"
    write_dfwb(predictions, path, detector="mine")
    meta = json.loads(find_meta(path).read_text())
    assert meta["coverage"] == {"expected": 3, "ok": 2, "missing": 1, "error": 0}
    assert pd.read_csv(path)["status"].tolist() == ["ok", "ok", "missing"]
    again = read_predictions([path])
    assert again.checkpoint == "import:mine"
    assert again.predictions["video_id"].tolist() == ["a", "b"]
    assert again.predictions["fake_prob"].tolist() == [0.75, 0.25]
    assert [f["ids"] for f in again.flags if f["code"] == "no_score"] == [["c"]]
    path.write_text(path.read_text() + "e,e,,1,0.5,ok,x\n")
    assert "coverage_differs" in [f["code"] for f in read_predictions([path]).flags]


def test_one_key_in_two_compressions_is_two_videos(tmp_path):
    path = tmp_path / "m.scores.csv"
    predictions = read(tmp_path, "video_id,label,fake_prob\na,1,0.75\n").predictions
    write_dfwb(predictions, path, detector="m")
    header = "dataset,key,compression,label,score,status\n"
    path.write_text(header + "d,003,c23,1,0.75,ok\nd,003,c40,1,0.5,ok\n")
    meta = json.loads(find_meta(path).read_text())
    meta["coverage"] |= {"expected": 2, "ok": 2}
    find_meta(path).write_text(json.dumps(meta))
    read_again = read_predictions([path])
    assert read_again.predictions["video_id"].tolist() == ["003@c23", "003@c40"]
    assert "coverage_differs" not in [f["code"] for f in read_again.flags]


LISTING = {
    "FaceForensics++": {
        "FF-DF": {
            "test": {
                "c23": {
                    "000_003": {
                        "label": "FF-DF",
                        "frames": [f"a\\Deepfakes\\000_003\\{n:03d}.png" for n in (0, 10)],
                    }
                }
            }
        },
        "FF-real": {
            "test": {"c23": {"000": {"label": "FF-real", "frames": ["./rgb/y/000/000.png"]}}}
        },
    }
}


def test_scores_of_images_are_joined_with_lists_of_the_benchmark(tmp_path):
    (tmp_path / "FF.json").write_text(json.dumps(LISTING))
    scores = {
        "img_names": ["/data/rgb/y/000/000.png"]
        + [f"a/Deepfakes/000_003/{n}.png" for n in ("000", "010")],
        "pred": [0.25, 0.75, 1.0],
        "label": [0, 1, 1],
    }  # fmt: skip
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    table = read_predictions([tmp_path / "scores.json", tmp_path / "FF.json"]).predictions
    assert (
        table["video_id"].tolist() == ["ffpp/youtube/c23/000"] + ["ffpp/Deepfakes/c23/000_003"] * 2
    )
    assert table["method"].tolist() == ["real", "Deepfakes", "Deepfakes"]
    assert table["position"].tolist() == [0, 0, 1] and set(table["unit"]) == {"frame"}
    scores["label"] = [1, 1, 1]
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    with pytest.raises(UsageError, match="1 images have another label"):
        read_predictions([tmp_path / "scores.json", tmp_path / "FF.json"])
    with pytest.raises(UsageError, match="lists videos but has no scores"):
        read_predictions([tmp_path / "FF.json"])
    unlisted = {name: [*values, values[-1]] for name, values in scores.items()}
    unlisted |= {"img_names": [*scores["img_names"], "a/other/0.png"], "label": [0, 1, 1, 1]}
    (tmp_path / "scores.json").write_text(json.dumps(unlisted))
    found = read_predictions([tmp_path / "scores.json", tmp_path / "FF.json"])
    assert len(found.predictions) == 3
    assert "not_listed" in {flag["code"] for flag in found.flags}


def test_scores_of_images_alone_are_grouped_by_their_whole_folder(tmp_path):
    text = "img_path,label,score\nDF/000_003/001.png,1,0.5\nFS/000_003/001.png,1,0.75\n"
    found = read(tmp_path, text)
    assert found.predictions["video_id"].tolist() == ["DF/000_003", "FS/000_003"]
    assert found.predictions["position"].tolist() == [1, 1] and "the folder" in said(found)


def test_scores_for_the_benchmark_come_back(tmp_path):
    text = "video_id,dataset,label,fake_prob,frame\na,d,1,0.75,3\na,d,1,0.5,4\nb,d,0,0.25,0\n"
    before = read(tmp_path, text).predictions
    write_scores(before, tmp_path / "dfb.json")
    after = read_predictions([tmp_path / "dfb.json"]).predictions
    for column in ("dataset", "video_id", "position", "label", "fake_prob"):
        assert after[column].tolist() == before[column].tolist()


def test_the_verb_writes_the_formats_of_others(tmp_path, capsys):
    text = "video_id,dataset,label,fake_prob,frame\na,d,1,0.75,3\na,d,1,0.5,4\nb,d,0,0.25,0\n"
    (tmp_path / "s.csv").write_text(text)
    out = tmp_path / "mine"
    arguments = ["evaluate", "--predictions", str(tmp_path / "s.csv"), "--write"]
    files = {"dfwb": "predictions.scores.csv", "deepfakebench": "deepfakebench_scores.json"}
    for name, file in files.items():
        for _ in range(2):  # its own files are replaced
            assert main([*arguments, name, "--out", str(out)]) == 0
        assert f"written to {out / file}" in capsys.readouterr().out
        again = read_predictions([out / file])
        assert set(again.predictions["video_id"]) == {"a", "b"}
    assert read_predictions([out / "predictions.scores.csv"]).checkpoint == "import:mine"
    assert main([*arguments, "dfwb"]) == 2 and "--write needs --out" in capsys.readouterr().err


def test_rows_that_repeat_or_lack_scores_are_named(tmp_path):
    text = "video_id,label,fake_prob,frame\na,1,0.75,0\na,1,0.5,0\nb,0,0.25,0\nb,0,,1\n"
    (tmp_path / "s.csv").write_text(text)
    flags = {flag["code"]: flag["message"] for flag in dfjax.evaluate(tmp_path / "s.csv").flags}
    assert flags["duplicate_keys"].endswith("are left out (row 2)")
    assert flags["non_finite"].endswith("(row 4)")
    rows = "".join(f"v{n},{n % 2},{n % 3 % 2}\n" for n in range(20))
    (tmp_path / "t.csv").write_text("video_id,label,fake_prob\n" + rows)
    assert "decisions_only" in {flag["code"] for flag in dfjax.evaluate(tmp_path / "t.csv").flags}


def test_a_column_that_predictions_do_not_have_is_refused(tmp_path):
    with pytest.raises(UsageError, match="unknown column of predictions 'foo'"):
        read(tmp_path, "video_id,label,score\na,1,0.5\n", {"foo": "score"})
    with pytest.raises(
        UsageError, match=r"fake_prob \(or logit\); it has video_id, label, p_a: .*'scor"
    ):
        read(tmp_path, "video_id,label,p_a\na,1,0.5\n")


def test_patterns_match_columns_as_they_are_written(tmp_path):
    text = "id,label,generator,pred_a,pred_label\nv,0,real,0.5,0.25\nw,1,x,0.75,1\n"
    (tmp_path / "wide.csv").write_text(text)
    assert list(read_detectors([tmp_path / "wide.csv"], "pred_*")) == ["a", "label"]
    with pytest.raises(
        UsageError, match="the columns are: video_id, label, method, pred_a, verdict"
    ):
        read_detectors([tmp_path / "wide.csv"], "zzz*")


def test_rows_are_numbered_before_empty_cells_are_left_out(tmp_path):
    (tmp_path / "wide.csv").write_text("id,label,p_a\nv,0,\nw,1,0.5\nx,1,7\n")
    with pytest.raises(UsageError, match=r"not 7; .*\(row 3\)"):
        read_detectors([tmp_path / "wide.csv"], "p_*")


def test_a_comparison_reads_tables_of_others_too(tmp_path, capsys):
    rows = "".join(f"v{n},{n % 2},{40 + 20 * (n % 2) + n}\n" for n in range(12))
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text("id,label,p\n" + rows)
    files = [str(tmp_path / f"{name}.csv") for name in "ab"]
    assert main(["compare", *files, "--map", "fake_prob=p", "--scale", "percent"]) == 0
    assert "12 videos" in capsys.readouterr().out


def test_write_without_a_folder_is_refused_before_anything_is_read(capsys):
    assert main(["evaluate", "--predictions", "nothing.csv", "--write", "dfwb"]) == 2
    assert "--write needs --out" in capsys.readouterr().err


def test_flags_of_wide_tables_are_printed_in_full(tmp_path, capsys):
    (tmp_path / "wide.csv").write_text(WIDE)
    main(["evaluate", "--predictions", str(tmp_path / "wide.csv"), "--scores", "prob_*"])
    printed = capsys.readouterr().out
    assert "columns were read as video_id=id, method=generator" in printed
    assert "error no_score: " in printed and "1 of 4 rows have no score" in printed


def test_two_columns_of_labels_that_contradict_are_an_error(tmp_path):
    text = "video_id,label,true_label,score\na,0,REAL,0.1\nb,1,REAL,0.9\n"
    (flag,) = [f for f in read(tmp_path, text).flags if f["code"] == "labels_contradict"]
    assert flag["severity"] == "error" and flag["ids"] == ["b"] and "(row 2)" in flag["message"]
    same = read(tmp_path, text.replace("b,1,REAL", "b,1,FAKE")).flags
    assert not [f for f in same if f["code"] == "labels_contradict"]


def test_inverted_decisions_are_named(tmp_path):
    text = "video_id,label,score,verdict\na,0,0.1,fake\nb,1,0.9,real\nc,1,0.8,real\n"
    (flag,) = [f for f in read(tmp_path, text).flags if f["code"].startswith("decision")]
    assert flag["code"] == "decisions_inverted" and flag["severity"] == "error"


def test_decisions_in_a_column_pred_are_compared_with_the_scores(tmp_path):
    text = "video_id,label,fake_prob,pred\na,0,0.1,1\nb,1,0.9,0\nc,1,0.8,0\n"
    flags = {flag["code"]: flag["severity"] for flag in read(tmp_path, text).flags}
    assert flags["decisions_inverted"] == "error"
    same = text.replace(",1\n", ",x\n").replace(",0\n", ",1\n").replace(",x\n", ",0\n")
    assert "decision_threshold" in {flag["code"] for flag in read(tmp_path, same).flags}
    alone = read(tmp_path, text.replace("fake_prob,pred", "other,pred"))  # then they are the scores
    assert alone.predictions["fake_prob"].tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("scale", [None, "percent"])
def test_infinite_scores_are_left_out_like_missing_ones(tmp_path, scale):
    found = {}
    for value in ("inf", "-inf", ""):
        path = tmp_path / "s.csv"
        path.write_text(f"video_id,label,score\na,0,0.1\nb,1,{value}\nc,1,0.9\nd,0,0.95\n")
        report = dfjax.evaluate(path, scale=scale)
        (flag,) = [flag for flag in report.flags if flag["code"] == "non_finite"]
        found[value] = report.metrics["overall"]["video_auc"], flag["ids"], flag["severity"]
    assert set(map(str, found.values())) == {"(0.5, ['b'], 'error')"}


def test_missing_scores_of_one_of_several_detectors_are_an_error_too(tmp_path):
    (tmp_path / "wide.csv").write_text(WIDE)
    arguments = ["evaluate", "--predictions", str(tmp_path / "wide.csv"), "--scores"]
    assert main([*arguments, "prob_effort"]) == 1


def test_the_splits_of_a_table_are_score_files_of_their_own(tmp_path, capsys):
    rows = {"video_id": list("abcd"), "label": [0, 1] * 2, "fake_prob": [0.1, 0.9, 0.2, 0.8]}
    table = pd.DataFrame(rows | {"split": ["val", "val", "test", "test"]})
    table.to_csv(tmp_path / "s.csv", index=False)
    arguments = ["evaluate", "--predictions", str(tmp_path / "s.csv"), "--out", str(tmp_path / "o")]
    main([*arguments, "--split", "all", "--write", "dfwb"])
    printed = capsys.readouterr().out
    for split, ids in (("val", ["a", "b"]), ("test", ["c", "d"])):
        path = tmp_path / "o" / f"predictions_{split}.scores.csv"
        again = read_predictions([path]).predictions
        assert str(path) in printed and again["video_id"].tolist() == ids
        assert set(again["split"]) == {split}
    with pytest.raises(UsageError, match="of one split, not of test, val"):
        write_dfwb(read_predictions([table]).predictions, tmp_path / "x.scores.csv", detector="x")
