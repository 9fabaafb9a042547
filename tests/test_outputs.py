"""No command writes over an input, and files that dfjax did not write are refused."""

import json
import os
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import pandas as pd
import pytest

import dfjax
from dfjax.commands.main import main
from dfjax.data.index.records import make_index, make_record, write_index
from dfjax.errors import UsageError
from dfjax.evaluation.figures.ablation_report import summarise_rows, write_report
from dfjax.evaluation.figures.style import canvas
from dfjax.evaluation.report.protocol_table import ProtocolTable
from dfjax.evaluation.tables.predictions import write_predictions
from dfjax.experiment import workdir
from dfjax.files import write_json
from dfjax.outputs import check_folder, check_outputs, is_ours, mark_folder
from dfjax.training.metric_writer import MetricWriter
from dfjax.weights.safetensors_file import save_safetensors

PICTURE = cv2.imencode(".png", np.full((40, 60, 3), 90, np.uint8))[1].tobytes()


def contents(folder):
    return {p: p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}


def write_ours(folder):
    """Writes one file of every kind that dfjax writes to a place that the user names."""
    row = make_record(video_id="d/a", dataset="d", label=0, root=str(folder), path="photo.png")
    write_index(make_index([row]), folder / "index.parquet", command="test")
    table = pd.DataFrame({"video_id": ["d/a"], "label": [0], "fake_prob": [0.5]})
    write_predictions(table, folder / "predictions.parquet", checkpoint="best/1")
    with canvas(folder / "roc.png", size=(1.0, 1.0)):
        pass
    save_safetensors(folder / "w.safetensors", {"params": {"a": np.zeros(2)}}, metadata={
        "format": "dfjax", "version": "1"})  # fmt: skip
    write_json(folder / "metrics.json", {"overall": {}, "by_dataset": {}, "flags": []})
    line = {"video_id": "d/a", "path": "a", "stage": "probe", "error": "bad"}
    (folder / "errors.jsonl").write_text(json.dumps(line) + "\n")
    (folder / "rank.csv").write_text("rank,video_id,dataset,label\n1,d/a,d,0\n")


def test_files_of_ours_are_recognised_and_others_are_not(tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    theirs.mkdir()
    write_ours(ours)
    names = sorted(path.name for path in ours.iterdir())
    assert len(names) == 7 and all(is_ours(ours / name) for name in names)
    for name in names:
        (theirs / name).write_bytes(b"by someone else")
    (theirs / "photo.png").write_bytes(PICTURE)
    (theirs / "notes.txt").write_text("dfjax")
    pd.DataFrame({"a": [1]}).to_parquet(theirs / "table.parquet")
    (theirs / "list.json").write_text("[]")
    assert not any(is_ours(path) for path in theirs.iterdir())
    check_outputs([*ours.iterdir(), tmp_path / "new.png"])
    for path in theirs.iterdir():
        with pytest.raises(UsageError, match="was not written by dfjax"):
            check_outputs([path])
    with pytest.raises(UsageError, match="is a folder"):
        check_outputs([ours])


def test_tables_of_ours_are_told_from_those_that_only_have_similar_names(tmp_path):
    lines = pd.DataFrame([{"row": "a", "change": "", "seed": 0, "error": "failed"}])
    with mock.patch("dfjax.evaluation.figures.ablation_report.plot_rows"):
        write_report(tmp_path, lines, summarise_rows(lines), "Mine")
    write_json(tmp_path / "protocol.json", ProtocolTable("t", "auc", "strict", (), ()).to_json())
    writer = MetricWriter(tmp_path, step=0, tensorboard=False)
    row = {"epoch": 1, "step": 2, "train_loss": 0.5, "train_accuracy": 0.5, "val_loss": 0.5}
    writer.write_epoch(row)
    writer.close()
    for name in ("table.json", "table.csv", "protocol.json", "history.csv"):
        assert is_ours(tmp_path / name), name
    for name, text in {
        "a.json": '{"title": "My list", "rows": []}',
        "b.json": '{"title": "My list", "rows": [{"row": "a", "change": "more"}]}',
        "c.json": '{"title": "My list", "rows": 3, "columns": ["a"]}',
        "d.csv": "epoch,step,loss\n1,2,3\n",
    }.items():
        (tmp_path / name).write_text(text)
        assert not is_ours(tmp_path / name), name


def test_an_input_is_refused_by_whatever_name(tmp_path):
    write_ours(tmp_path)
    (tmp_path / "link.parquet").symlink_to("index.parquet")
    os.link(tmp_path / "index.parquet", tmp_path / "second.parquet")
    for name in ("index.parquet", "link.parquet", "second.parquet", "../x/index.parquet"):
        (tmp_path.parent / "x").unlink(missing_ok=True)
        (tmp_path.parent / "x").symlink_to(tmp_path)
        with pytest.raises(UsageError, match="is an input"):
            check_outputs([tmp_path / name], inputs=[tmp_path / "index.parquet"])


def test_a_folder_is_filled_again_only_if_it_is_ours(tmp_path):
    folder, owner = tmp_path / "crops", tmp_path / "extraction.json"
    check_folder(folder, inputs=(), owner=owner)
    folder.mkdir()
    (folder / "holiday.jpg").touch()
    with pytest.raises(UsageError, match="holds files that dfjax did not write"):
        check_folder(folder, inputs=(), owner=owner)
    mark_folder(folder)
    check_folder(folder, inputs=[tmp_path / "a.mp4"], owner=owner)
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(UsageError, match="is an input"):
        check_folder(folder, inputs=[tmp_path / "link" / "a.mp4"], owner=owner)


def refused(arguments, folder, capsys, message):
    before = contents(folder)
    assert main(list(map(str, arguments))) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert contents(folder) == before


def test_predict_does_not_replace_a_picture(tmp_path, capsys):
    (tmp_path / "photo.png").write_bytes(PICTURE)
    (tmp_path / "other.png").write_bytes(PICTURE)
    (tmp_path / "other.jpg").write_bytes(PICTURE)
    base = ["predict", "--workdir", "w", "--out", tmp_path, "--detector", "none"]
    refused([*base, tmp_path / "photo.png"], tmp_path, capsys, "photo.png is an input")
    refused([*base, tmp_path / "other.jpg"], tmp_path, capsys, "not written by dfjax")
    refused([*base, tmp_path], tmp_path, capsys, "is an input")


def test_no_data_verb_replaces_what_it_reads_or_what_is_not_ours(tmp_path, capsys):
    write_ours(tmp_path)
    (tmp_path / "photo.png").write_bytes(PICTURE)
    index, alien = tmp_path / "index.parquet", tmp_path / "alien"
    alien.mkdir()
    for name in ("index.parquet", "audit.json", "rank.csv", "errors.jsonl", "x.png", "w.svg"):
        (alien / name).write_text("mine")
    crops, encoded = tmp_path / "c", tmp_path / "v"
    for folder in (crops / "crops/d/a", encoded / "videos/d"):
        folder.mkdir(parents=True)
        (folder / "a.mp4").write_text("mine")
    data, mine = "data", "was not written by dfjax"
    scores = tmp_path / "predictions.parquet"
    for arguments, message in [
        ([data, "split", "--index", index, "--by", "group", "--out", index], "is an input"),
        ([data, "merge", index, scores, "--out", index], "is an input"),
        ([data, "extract", "--index", index, "--out", alien], mine),
        ([data, "extract", "--index", index, "--out", crops], "did not write"),
        ([data, "extract", "--index", index, "--out", tmp_path], "is an input"),
        ([data, "compress", "--index", index, "--crf", "23", "--out", encoded], "did not write"),
        ([data, "flow", "--index", index, "--out", alien], mine),
        ([data, "audit", "--index", index, "--out", alien], mine),
        (
            [
                data,
                "index",
                "--adapter",
                "folder",
                "--root",
                tmp_path,
                "--out",
                alien / "index.parquet",
            ],
            mine,
        ),
        (
            [
                data,
                "rank",
                "--by",
                "confidence",
                "--predictions",
                scores,
                "--out",
                alien / "rank.csv",
            ],
            mine,
        ),
        ([data, "preview", "--config", "dual_stream:smoke", "--out", alien / "x.png"], mine),
        (["models", "dual_stream", "--diagram", alien / "w.svg"], mine),
        (["evaluate", "--predictions", scores, "--out", tmp_path], "is an input"),
    ]:
        refused(arguments, tmp_path, capsys, message)


def test_export_replaces_only_weights_of_ours(tmp_path, capsys):
    (tmp_path / "theirs.safetensors").write_bytes(b"weights")
    command = ["export", "--workdir", tmp_path, "--to", "safetensors", "--out"]
    refused([*command, tmp_path / "theirs.safetensors"], tmp_path, capsys, "not written by dfjax")


def test_a_run_does_not_begin_over_files_of_the_user(tmp_path):
    config = dfjax.load_config("dual_stream:smoke")
    for name in ("history.csv", "curves.png", "config.yaml", "audit.html"):
        folder = tmp_path / name.replace(".", "_")
        folder.mkdir()
        (folder / name).write_text("mine")
        with pytest.raises(UsageError, match="was not written by dfjax"):
            workdir.check(folder, config)
    workdir.prepare_workdir(tmp_path / "new", config)
    workdir.prepare_workdir(tmp_path / "new", config)  # the same run goes on


def test_crops_and_videos_are_never_cut_into_their_own_folder(tmp_path, capsys):
    out = tmp_path / "out"
    folder = out / "crops/d"
    folder.mkdir(parents=True)
    (folder / "v.png").write_bytes(PICTURE)
    (out / "extraction.json").write_text("{}")
    row = make_record(video_id="d/v", dataset="d", label=0, root=str(folder), path="v.png")
    write_index(make_index([row]), tmp_path / "index.parquet", command="test")
    command = ["data", "extract", "--index", tmp_path / "index.parquet", "--out", out]
    refused([*command, "--detector", "none"], out, capsys, "is an input")
