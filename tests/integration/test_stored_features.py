"""Tests training on stored features, from crops to the score of a new file."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import dfjax
from dfjax.commands.main import main
from dfjax.config import load_config
from dfjax.data.store.pack import open_pack
from dfjax.experiment import run_data
from dfjax.experiment.initial_state import start
from dfjax.experiment.parts import make_parts
from dfjax.training.checkpoint import Checkpoints
from dfjax.weights.safetensors_file import flatten, load_safetensors

pytestmark = pytest.mark.slow

TRAIN = (
    "--config=transformer_head:smoke",
    "--config.model.clip_detector.layers=1", "--config.model.clip_detector.width=0.125",
    "--config.data.frames=2", "--config.train.epochs=1", "--config.writers.tensorboard=False",
)  # fmt: skip


def run(capsys, *arguments, code=0):
    assert main([str(argument) for argument in arguments]) == code
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with synthetic crops, their pack, their features and a head trained on those."""
    root = tmp_path_factory.mktemp("features")
    synth = ("--videos", "16", "--identities", "8", "--frames", "4", "--size", "32")
    toy = ("--backbone", "resnet18", "--width", "0.125", "--one-block", "--size", "32")
    for command in (
        ("data", "synth", "--out", root / "crops", *synth),
        ("data", "pack", "--index", root / "crops" / "index.parquet", "--out", root / "pack"),
        ("data", "features", "--data", root / "pack", "--out", root / "features", *toy),
        ("train", *TRAIN, f"--config.data.features={root / 'features'}", "--workdir", root / "run"),
    ):
        assert main(list(map(str, command))) == 0
    return root


def test_scores_are_the_same_from_features_and_from_crops_and_features_may_move(
    place, tmp_path, capsys
):
    evaluate = ("evaluate", "--workdir", place / "run", "--json")
    stored = run(capsys, *evaluate, "--out", tmp_path / "stored")
    assert stored["n"]["clips"] > 0 and (tmp_path / "stored" / "sheet.png").is_file()
    run(capsys, *evaluate, "--index", place / "pack", "--out", tmp_path / "crops")
    one, other = (
        pd.read_parquet(tmp_path / name / "predictions.parquet") for name in ("stored", "crops")
    )
    assert one["video_id"].tolist() == other["video_id"].tolist()
    # Features are kept in half precision: three digits.
    np.testing.assert_allclose(one["logit"], other["logit"], rtol=2e-3, atol=2e-3)

    shutil.copytree(place / "features", tmp_path / "moved")
    command = ("train", *TRAIN, "--workdir", place / "run", "--json")
    again = run(capsys, *command, f"--config.data.features={tmp_path / 'moved'}")
    assert again["status"] == "complete"


def test_passes_of_dropout_end_in_metrics_also_of_the_table_alone(place, tmp_path, capsys):
    evaluate = ("evaluate", "--workdir", place / "run", "--mc-dropout", 4, "--json", "--out")
    first = run(capsys, *evaluate, tmp_path / "a")
    assert first["uncertainty"]["videos"] == first["n"]["videos"]
    assert first["checkpoint"].endswith("; 4 passes of dropout, seed 0")
    table = pd.read_parquet(tmp_path / "a" / "predictions.parquet")
    assert (table["fake_prob_sd"] > 0).all()
    assert (tmp_path / "a" / "uncertainty.png").is_file()
    again = run(
        capsys, "evaluate", "--predictions", tmp_path / "a" / "predictions.parquet", "--json"
    )
    assert again["uncertainty"] == first["uncertainty"]


def test_a_workdir_predicts_and_exports_without_its_features(place, tmp_path, capsys):
    """Only WORKDIR is there: what computed the features came along."""
    shutil.copytree(place / "run", tmp_path / "run")
    crop = next((place / "crops").rglob("*.jpg"))
    command = ("predict", crop, "--workdir", tmp_path / "run", "--detector", "none", "--json")
    (result,) = run(capsys, *command)["results"]
    assert result["status"] == "ok" and 0 < result["fake_prob"] < 1

    pack = open_pack(place / "pack")
    clip = pack.read(0, pack.frame_numbers(0)[:2])
    assert dfjax.load(tmp_path / "run").predict(clip[None]).shape == (1,)
    out = tmp_path / "w.safetensors"
    run(
        capsys,
        "export",
        "--workdir",
        tmp_path / "run",
        "--to",
        "safetensors",
        "--out",
        out,
        "--json",
    )
    variables, metadata = load_safetensors(out)
    assert {"backbone", "encoder", "projection"} <= variables["params"].keys()
    assert metadata["features"]["backbone"]["name"] == "resnet18"


def test_training_goes_on_end_to_end_from_the_head_and_its_backbone(place, tmp_path):
    whole = load_config(
        "transformer_head:smoke",
        [*(item.removeprefix("--config.") for item in TRAIN[1:]),
         f"data.path={place / 'pack'}", "preprocess.size=32",
         "model.clip_detector.backbone=resnet18"],
    )  # fmt: skip
    pack = run_data.open_data(whole, tmp_path)
    rows = {split: run_data.split_rows(pack, whole, split) for split in ("train", "val")}
    checkpoints, said = Checkpoints(tmp_path), []
    parts = make_parts(whole, pack, rows)
    state, _ = start(parts, checkpoints, said.append, {}, str(place / "run"))
    checkpoints.close()
    assert len(said) == 1  # nothing is left at random, nothing has no place
    trained = flatten(dfjax.load(place / "run").variables)
    for path, value in flatten({"params": state.params, "batch_stats": state.batch_stats}).items():
        np.testing.assert_array_equal(value, trained[path], err_msg=path)
