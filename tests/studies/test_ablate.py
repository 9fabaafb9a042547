"""Tests that every row of every ablation table can be built, and training, resuming and reports."""

import json
import re
from unittest import mock

import jax
import numpy as np
import pandas as pd
import pytest
from flax import linen as nn
from mlflow_server import Server

from dfjax.commands.main import main
from dfjax.config import find_table, load_config
from dfjax.data.index.records import make_index, make_record, write_index
from dfjax.errors import RunError, UsageError
from dfjax.evaluation.figures.ablation_report import make_markdown, summarise_rows, write_report
from dfjax.evaluation.report.view import Report
from dfjax.experiment import builders
from dfjax.studies import run_series
from dfjax.studies.ablation import ablate, run_table, share_data
from dfjax.studies.ablation_table import load_table
from dfjax.training.interrupt import Stopped

pytestmark = pytest.mark.usefixtures("compiled_quickly")

TABLES = sorted(path.stem for path in find_table("backbones").parent.glob("*.py"))
PACKS = {"bilstm_phases": {"aligned": "aligned/pack"}}
TWO = '{"a": (), "b": ("optimizer.learning_rate=0.01",)}'


def write_table(folder, rows, more=""):
    path = folder / "mine.py"
    path.write_text(
        f"def get_table(variant=''):\n"
        f"    return {{'title': 'Mine', 'config': 'resnet18', 'rows': {rows}, {more}}}\n"
    )
    return str(path)


def metrics(auc, low=0.4, high=0.9):
    return {"video_auc": auc, "video_auc_ci": [low, high], "accuracy": 0.5, "f1": 0.5}


class Runs:
    """Substitute for training and evaluation that records its calls."""

    def __init__(self, stop_at=None, broken=()):
        self.stop_at, self.broken = stop_at, broken
        self.trained, self.evaluated, self.data = [], [], {}

    def train(self, config, folder, accept, interrupt, must_log):
        assert not must_log  # a server of MLflow that is lost does not fail a row
        name = f"{folder.parent.name}/{folder.name}"
        if name == self.stop_at:
            raise Stopped("SIGINT")
        if folder.parent.name in self.broken:
            raise RunError("the loss is not finite")
        self.data[folder.parent.name] = config.data.path
        status = "complete" if (folder / "metrics.jsonl").exists() else "trained"
        if status == "trained":
            self.trained.append(name)
        folder.mkdir(parents=True, exist_ok=True)
        row = {"step": 1, "split": "train", "clips_per_s": 10.0}
        (folder / "metrics.jsonl").write_text(json.dumps(row) + "\n")
        return {"status": status, "parameters": 7, "seconds": 3.0, "best_epoch": 1}

    def evaluate(self, folder, *, split, out, ensemble=(), flip=False):
        assert split == "test"
        self.evaluated.append((folder.parent.name, len(ensemble)))
        result = {
            "checkpoint": "best/1; flip" if flip else "best/1",
            "overall": metrics(0.5),
            "unseen_methods": {"x": metrics(0.6), "y": metrics(0.8)},
            "by_dataset": {"synthetic": metrics(0.5)},
            "flags": [],
        }
        out.mkdir(parents=True, exist_ok=True)
        (out / "metrics.json").write_text(json.dumps(result))
        return Report(result)

    def run(self, table, workdir, seeds):
        with mock.patch.multiple(run_series, run_training=self.train, evaluate=self.evaluate):
            return run_table(table, workdir, seeds=seeds)


@pytest.fixture
def no_data(monkeypatch, tmp_path):
    monkeypatch.setattr(run_series, "synthetic_pack", lambda config, folder: tmp_path / "pack")


@pytest.mark.parametrize("name", TABLES)
def test_every_row_is_a_config_that_can_be_used(name):
    for variant in ("", ":tiny"):
        rows = load_table(f"{name}{variant}", packs=PACKS.get(name)).rows
        different = {f"{row.config}{row.evaluation}" for row in rows}
        assert len(different) == len(rows), "two rows are the same"


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_every_row_has_a_model(name):
    built = set()
    for row in load_table(f"{name}:smoke").rows:
        section = str(row.config.model[row.config.model.name])
        if section not in built:  # tracing takes a second
            built.add(section)
            model = builders.make_model(row.config)
            jax.eval_shape(model.init, jax.random.key(0), builders.example_inputs(row.config))


@pytest.mark.parametrize(
    "rows,more,message",
    [
        ('{"a": ("optimiser.learning_rate=1",)}', "", "optimizer.learning_rate"),
        ('{"a": ("early_stop.metric=f2",)}', "", "'a'"),
        ('{"a": "loss.bce.smoothing=0.1"}', "", "tuple"),
        ('{"a b": (), "A B": ()}', "", "similar names"),
        ("{}", "", "no row"),
        (TWO, "'ensembles': {'both': ('a', 'c')}", "'c'"),
        (TWO, "'colour': 1", "colour"),
        ('{"a": ("evaluate.flop=True",)}', "", "Did you mean 'flip'"),
        ('{"a": ("evaluate.flip=1",)}', "", "of type bool"),
        ('{"a": ("evaluate.passes=many",)}', "", "of type int"),
        ('{"a": ("pack=tight",)}', "'packs': {'tigth': ''}", "Did you mean 'tigth'"),
    ],
)
def test_a_table_is_checked_before_anything_is_trained(tmp_path, rows, more, message):
    with pytest.raises(UsageError, match=message):
        load_table(write_table(tmp_path, rows, more))


def test_an_unknown_table_lists_the_known():
    with pytest.raises(UsageError, match="Did you mean 'backbones'"):
        find_table("backbone")


def test_a_cumulative_row_keeps_what_those_above_changed():
    rows = load_table("transformer_training").rows
    options = [row.config.model.clip_detector for row in rows]
    assert [o.pooling for o in options] == ["mean"] + ["query"] * 9
    assert [o.layers for o in options] == [2] * 4 + [4] * 6
    assert [o.positions for o in options] == ["sinusoidal"] * 8 + ["learned", "none"]
    assert rows[7].config == load_config("transformer_head")


def test_the_phases_are_the_published_ones():
    rows = {row.name: row for row in load_table("bilstm_phases", packs=PACKS["bilstm_phases"]).rows}
    assert [name[0] for name in rows] == [*"p1111222333"]
    plain, last = rows["plain"].config, rows["3: several scales"].config
    assert (plain.augment.preset, plain.data.frames) == ("none", 16)
    assert last.augment.preset == "crop_jitter" and last.data.frames == 32
    assert last.data.path == "aligned/pack" and last.preprocess.size == 320
    options = last.model.clip_detector
    assert (options.backbone, options.join, options.layer_norm) == ("b0", "gate", True)
    assert options.cross_attention and options.dual_pathway and len(options.scales) == 3
    flipped = [row.evaluation for row in rows.values()]
    assert flipped == [{}, {}, *[{"flip": True}] * 9]


def test_a_row_without_its_pack_is_left_out_and_so_is_its_pack(tmp_path, no_data):
    packs = "'cumulative': True, 'packs': {'tight': 'tight crops'}"
    rows = '{"a": (), "b": ("pack=tight",), "c": ("train.epochs=3",)}'
    path = write_table(tmp_path, rows, packs) + ":smoke"
    table = load_table(path)
    assert [row.name for row in table.rows] == ["a", "c"]
    assert table.left_out == {"b": "it needs the pack 'tight': tight crops"}
    assert not table.rows[1].own_pack
    with pytest.raises(UsageError, match="Did you mean 'tight'"):
        load_table(path, packs={"tigth": "x"})
    runs, own = Runs(), str(write_pack_index(tmp_path / "x"))
    write_pack_index(tmp_path / "pack")
    runs.run(load_table(path, packs={"tight": own}), tmp_path / "w", seeds=1)
    assert runs.data == {"a": str(tmp_path / "pack"), "b": own, "c": own}


def write_pack_index(folder, **labels):
    """Writes an index as that of a pack; `labels` are those of its test videos."""
    videos = {"train": {"t": 0}, "test": labels or {"a": 0, "b": 1}}
    rows = [
        make_record(video_id=name, dataset="d", label=label, method="m" * label or "real",
                    split=split)
        for split, chosen in videos.items()
        for name, label in chosen.items()
    ]  # fmt: skip
    write_index(make_index(rows), folder / "index.parquet", command="test")
    return folder


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"a": 0}, "0 of its videos are not in theirs, and 1 of their 2 videos are not in it"),
        ({"a": 0, "c": 1}, r"1 of its videos are not in theirs, and 1 of their 2 .*\(such as b\)"),
        ({"a": 0, "b": 0}, "or have another label"),
    ],
)
def test_a_pack_with_other_test_videos_is_an_error_of_the_row(tmp_path, no_data, labels, message):
    path = write_table(tmp_path, '{"a": (), "b": ("pack=tight",)}', "'packs': {'tight': 'crops'}")
    write_pack_index(tmp_path / "pack")
    own = write_pack_index(tmp_path / "x", **labels)
    runs = Runs()
    table = load_table(f"{path}:smoke", packs={"tight": str(own)})
    lines, _ = runs.run(table, tmp_path / "w", seeds=1)
    assert runs.trained == ["a/seed0"] and lines["error"][0] == ""
    assert re.search(message, lines["error"][1])


def test_rows_that_only_evaluate_otherwise_share_a_training(tmp_path, no_data):
    rows = '{"a": (), "a flipped": ("evaluate.flip=True",), "b": ("train.epochs=3",)}'
    table = load_table(write_table(tmp_path, rows) + ":smoke")
    first, again = Runs(), Runs()
    lines, _ = first.run(table, tmp_path / "w", seeds=1)
    assert lines["row"].tolist() == ["a", "a flipped", "b"]
    assert first.trained == ["a/seed0", "b/seed0"]
    assert first.evaluated == [("a", 0), ("a", 0), ("b", 0)]
    again.run(table, tmp_path / "w", seeds=1)
    assert again.evaluated == [], "what was evaluated with the same options is not scored again"
    flipped = tmp_path / "w" / "a_flipped" / "seed0" / "eval" / "test" / "metrics.json"
    assert json.loads(flipped.read_text())["checkpoint"] == "best/1; flip"


def test_a_grid_is_every_combination(tmp_path):
    grid = "'grid': {'optimizer.learning_rate': (0.1, 0.2), 'seed': (3, 4)}"
    rows = load_table(write_table(tmp_path, "{}", grid)).rows
    assert [(r.config.optimizer.learning_rate, r.config.seed) for r in rows] == [
        (0.1, 3), (0.1, 4), (0.2, 3), (0.2, 4)
    ]  # fmt: skip
    assert rows[0].name == "learning_rate=0.1, seed=3"


def test_rows_on_different_data_are_refused(tmp_path):
    rows = '{"a": ("data.path=x",), "b": ("data.path=y",)}'
    with pytest.raises(UsageError, match="compared"):
        share_data(load_table(write_table(tmp_path, rows)), tmp_path)


def test_the_shared_set_has_masks_if_any_row_reads_them(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(
        run_series, "synthetic_pack", lambda config, _: made.append(config) or tmp_path
    )
    masked = '("loss.mask=0.5", "model.frame_classifier.mask_head=True")'
    table = load_table(write_table(tmp_path, f"{{'plain': (), 'masked': {masked}}}") + ":smoke")
    share_data(table, tmp_path)
    assert [config.loss.mask for config in made] == [0.5]


def test_a_stopped_table_goes_on_where_it_was(tmp_path, no_data):
    table = load_table(write_table(tmp_path, TWO) + ":smoke")
    first, second = Runs(stop_at="b/seed0"), Runs()
    with pytest.raises(Stopped):
        first.run(table, tmp_path / "w", seeds=2)
    lines, datasets = second.run(table, tmp_path / "w", seeds=2)
    assert first.trained == ["a/seed0", "a/seed1"]
    assert second.trained == ["b/seed0", "b/seed1"]
    assert second.evaluated == [("b", 0), ("b", 0)], "what was evaluated is not scored again"
    used = {*first.data.values(), *second.data.values()}
    assert used == {str(tmp_path / "pack")}, "all rows share one data set"
    assert lines[["row", "seed"]].values.tolist() == [["a", 0], ["a", 1], ["b", 0], ["b", 1]]
    assert lines["unseen"].tolist() == pytest.approx([0.7] * 4)
    assert datasets == ["synthetic"]


@pytest.mark.parametrize("checkpoint", ["best/1; flip", "best/1 + other:best/1", "last/1"])
def test_an_evaluation_of_more_than_the_row_is_not_taken_for_it(tmp_path, no_data, checkpoint):
    table = load_table(write_table(tmp_path, '{"a": ()}') + ":smoke")
    Runs().run(table, tmp_path / "w", seeds=1)
    written = tmp_path / "w" / "a" / "seed0" / "eval" / "test" / "metrics.json"
    written.write_text(json.dumps(json.loads(written.read_text()) | {"checkpoint": checkpoint}))
    again = Runs()
    again.run(table, tmp_path / "w", seeds=1)
    assert again.trained == [] and again.evaluated == [("a", 0)]


@pytest.mark.parametrize(
    "change", [{"overall": None}, {"unseen_methods": {"x": {}}}, {"checkpoint": ["best/1"]}]
)
def test_damaged_results_are_made_again(tmp_path, no_data, change):
    table = load_table(write_table(tmp_path, '{"a": ()}') + ":smoke")
    Runs().run(table, tmp_path / "w", seeds=1)
    written = tmp_path / "w" / "a" / "seed0" / "eval" / "test" / "metrics.json"
    intact = written.read_text()
    for text in ("", "[]", json.dumps(json.loads(intact) | change)):
        written.write_text(text)
        again = Runs()
        again.run(table, tmp_path / "w", seeds=1)
        assert again.evaluated == [("a", 0)] and written.read_text() == intact


def test_a_row_that_fails_is_listed_and_the_others_go_on(tmp_path, no_data):
    more = "'ensembles': {'both': ('a', 'c'), 'Other way': ('c', 'a'), 'broken': ('a', 'b')}"
    rows = '{"a": (), "b": ("train.epochs=3",), "c": ("train.epochs=4",)}'
    table = load_table(write_table(tmp_path, rows, more) + ":smoke")
    runs = Runs(broken=("b",))
    lines, _ = runs.run(table, tmp_path / "w", seeds=1)
    errors = dict(zip(lines["row"], lines["error"]))
    assert errors == {
        "a": "", "b": "the loss is not finite", "c": "", "both": "", "Other way": "",
        "broken": "a member has failed",
    }  # fmt: skip
    assert runs.evaluated == [("a", 0), ("c", 0), ("a", 1), ("c", 1)]
    for name in ("both", "other_way"):
        assert (tmp_path / "w" / "ensembles" / name / "seed0" / "metrics.json").is_file()
    text = make_markdown(summarise_rows(lines), "Mine", ["d is left out: no data"])
    assert text.endswith("- d is left out: no data\n")
    assert "| b | failed |" in text and "- b failed: the loss is not finite" in text


def test_figures_of_one_seed_and_of_three(tmp_path):
    one = pd.DataFrame([{"row": "a", "change": "x=1", "seed": 0, "error": "", **metrics(0.8)}])
    row = summarise_rows(one)[0]
    assert row["video_auc"] == 0.8 and row["video_auc_ci"] == [0.4, 0.9]
    assert row["video_auc_sd"] is None
    three = pd.concat([one.assign(video_auc=v, seed=i) for i, v in enumerate((0.7, 0.8, 0.9))])
    row = summarise_rows(three)[0]
    # Student's t with two degrees of freedom at 97.5 %: 4.30265; standard error 0.1 / sqrt(3)
    half = 4.30265 * 0.1 / np.sqrt(3)
    assert row["video_auc"] == pytest.approx(0.8) and row["video_auc_sd"] == pytest.approx(0.1)
    assert row["video_auc_ci"] == pytest.approx([0.8 - half, 1.0], abs=1e-5)  # at most 1
    write_report(tmp_path, three, [row], "Mine · synthetic data")
    assert {p.name for p in tmp_path.iterdir()} == {
        "table.md", "table.csv", "table.json", "table.png"
    }  # fmt: skip
    text = (tmp_path / "table.md").read_text()
    assert "synthetic" in text and "evaluated 3 times" in text and "- a: `x=1`" in text
    assert len(pd.read_csv(tmp_path / "table.csv")) == 3


@pytest.mark.slow
@pytest.mark.release
def test_the_command_trains_a_table(tmp_path, capsys, monkeypatch):
    rows = '{"a": (), "a flipped": ("evaluate.flip=True",)}'
    monkeypatch.chdir(tmp_path)
    command = ["ablate", write_table(tmp_path, rows) + ":smoke"]
    command += ["--config.train.epochs=1", "--config.writers.tensorboard=False", "--json"]
    assert main(command) == 0
    shown = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["row"] for row in shown["rows"]] == ["a", "a flipped"]
    assert "synthetic" in shown["title"]
    assert all(row["parameters"] == 309585 and row["n"] == 1 for row in shown["rows"])
    folder = tmp_path / "runs" / "ablate_mine_smoke"
    assert (folder / "a" / "seed0" / "history.csv").is_file()
    assert not (folder / "a_flipped" / "seed0" / "history.csv").exists()
    result = json.loads((folder / "a_flipped" / "seed0/eval/test/metrics.json").read_text())
    assert result["checkpoint"].endswith("; flip")
    assert (folder / "table.png").stat().st_size > 5000


class Brightness(nn.Module):
    """One weight for the mean of all pixels."""

    @nn.compact
    def __call__(self, inputs, *, train):
        return nn.Dense(1)(inputs["rgb"].mean(axis=(1, 2, 3)))[:, 0]


@pytest.mark.slow
def test_a_row_of_a_table_trains(tmp_path):
    assert list(load_table("bilstm_phases:smoke").left_out) == ["1: aligned faces"]
    rows = '{"a": ("model.name=test_ablate:Brightness",)}'
    overrides = ["train.epochs=1", "writers.tensorboard=False"]
    table = load_table(write_table(tmp_path, rows) + ":smoke", overrides)
    lines, datasets = run_table(table, tmp_path / "w")
    assert lines["error"].tolist() == [""] and datasets == ["synthetic"]
    assert 0 <= lines["video_auc"][0] <= 1


def test_no_seeds_are_refused(tmp_path):
    with pytest.raises(UsageError, match="seeds must be at least 1"):
        ablate("backbones:smoke", workdir=tmp_path, seeds=0)


def test_a_study_does_not_begin_without_the_server_that_it_logs_to(tmp_path, monkeypatch, no_data):
    server, runs = Server(monkeypatch), Runs()
    server.down = True
    path = write_table(tmp_path, '{"a": (), "b": ("writers.mlflow=True",)}')
    with pytest.raises(UsageError, match="MLflow at .* cannot be used"):
        runs.run(load_table(path), tmp_path / "w", seeds=1)
    assert not runs.trained and not (tmp_path / "w").exists()
    server.down = False
    runs.run(load_table(path), tmp_path / "w", seeds=1)
    assert len(runs.trained) == 2
