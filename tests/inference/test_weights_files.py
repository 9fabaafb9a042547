"""A weights file as the source of a detector: with a config in its header, or with a name only."""

import json

import cv2
import jax
import numpy as np
import pytest

import dfjax
from dfjax.commands.main import main
from dfjax.config import load_config
from dfjax.errors import UsageError
from dfjax.experiment.builders import example_inputs, make_model
from dfjax.inference.detector import load
from dfjax.weights.safetensors_file import load_safetensors, save_safetensors

CONVENTION = {
    "origin": "keras", "padding": "same", "mean": [0.0] * 3, "std": [1.0] * 3, "size": 256,
    "bn": {"epsilon": 1e-3, "momentum": 0.99, "unbiased": False},
}  # fmt: skip


def write(path, **header):
    """A file of Meso4 with random parameters."""
    config = load_config("meso4")
    shapes = jax.eval_shape(make_model(config).init, jax.random.key(0), example_inputs(config))
    rng = np.random.default_rng(0)
    variables = jax.tree_util.tree_map_with_path(
        lambda p, s: rng.uniform(0.5, 1.5, s.shape) if p[-1].key in ("var", "scale")
        else rng.normal(0, 0.05, s.shape),
        shapes,
    )  # fmt: skip
    variables = jax.tree.map(np.float32, variables)
    save_safetensors(path, variables, metadata=header)
    return path


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """A file whose header names the model and its convention, without a config."""
    path = tmp_path_factory.mktemp("weights") / "meso4.safetensors"
    return write(path, model="meso4", kind="detector", convention=CONVENTION)


def test_a_file_that_names_its_model_predicts_evaluates_and_exports(named, tmp_path, capsys):
    image = tmp_path / "a.png"
    cv2.imwrite(str(image), np.random.default_rng(1).integers(0, 256, (256, 256, 3), np.uint8))
    arguments = ["--weights", str(named), "--model", "meso4"]
    predict = [str(image), "--detector", "none", "--workers", "1", "--json"]
    assert main(["predict", *arguments, *predict]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[-1])
    full = tmp_path / "full.safetensors"
    assert main(["export", *arguments, "--to", "safetensors", "--out", str(full)]) == 0
    capsys.readouterr()
    assert main(["predict", "--weights", str(full), *predict]) == 0
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert again == first and 0.01 < first["results"][0]["fake_prob"] < 0.99
    _, header = load_safetensors(full)
    assert header["checkpoint"] == "meso4.safetensors"
    options = header["config"]["model"]["meso4"]
    assert options["bn"] == "0.001,0.99,biased"
    detector = dfjax.load(full)
    verdict = detector(image, face_detector="none")
    assert verdict.fake_prob == pytest.approx(first["results"][0]["fake_prob"], abs=1e-6)
    with pytest.raises(UsageError, match="this config needs data: set data.path=PACK"):
        dfjax.evaluate(detector, split="test", out=tmp_path / "eval")


@pytest.mark.parametrize(
    "header,model,message",
    [
        ({}, "", "name it"),
        ({}, "meso5", "unknown detector 'meso5'"),
        ({"model": "mesoinception4"}, "meso4", "parameters of the model mesoinception4, not meso4"),
        ({"model": "../x.py"}, "", "unknown detector '../x.py'"),
        ({"model": "b0", "kind": "backbone"}, "", "the backbone b0, not of a detector.*init.back"),
        ({"config": load_config("meso4").to_dict()}, "xception", "detector meso4, not xception"),
        ({"model": "mesoinception4"}, "", "28 keys are missing: .*; 4 keys are not expected"),
        ({"model": "meso4", "convention": {"padding": "same"}}, "", "is damaged"),
    ],
)
def test_a_file_that_is_not_the_named_detector_is_refused(header, model, message, tmp_path):
    path = write(tmp_path / "w.safetensors", **header)
    with pytest.raises(UsageError, match=message):
        load(path, model=model)


def test_a_workdir_has_its_own_config(tmp_path):
    with pytest.raises(UsageError, match="model=meso4 is for a weights file"):
        load(tmp_path, model="meso4")
