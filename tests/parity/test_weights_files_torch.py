"""Torch files of every kind, those that are refused, and the README's commands for weights."""

import collections
import os
import re
import shlex

import numpy as np
import pytest
import torch

from dfjax.commands.main import main
from dfjax.config import load_config
from dfjax.errors import FileError
from dfjax.weights.foreign_file import read_foreign
from dfjax.weights.registry import ORIGINS
from dfjax.weights.safetensors_file import flatten, load_safetensors, save_safetensors, unflatten
from dfjax.weights.saving import save
from dfjax.weights.target import backbone_target, detector_target

pytestmark = pytest.mark.parity


class Runs:
    """Would make a folder when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("/tmp/dfjax-was-executed",)


@pytest.mark.parametrize("zipped", [True, False])
def test_both_formats_and_wrappers(zipped, tmp_path):
    state = collections.OrderedDict({"module.a": torch.arange(6.0).reshape(2, 3).T})
    whole = {"net": state, "epoch": 3, "opt": {"state": {}}, "half": torch.ones(2).half()}
    torch.save(whole, tmp_path / "w.tar", _use_new_zipfile_serialization=zipped)
    content = read_foreign(tmp_path / "w.tar").content
    np.testing.assert_array_equal(content["net"]["module.a"], [[0, 3], [1, 4], [2, 5]])
    assert content["half"].dtype == np.float32 and "epoch" not in content


@pytest.mark.parametrize("zipped", [True, False])
def test_files_that_are_refused(zipped, tmp_path):
    path = tmp_path / "w.pth"
    torch.save({"a": Runs()}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(FileError, match="nothing in it was executed"):
        read_foreign(path)
    assert not os.path.exists("/tmp/dfjax-was-executed")
    torch.save({"a": torch.ones(100)}, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    for length in (5, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:length])
        with pytest.raises(FileError, match="w.pth"):
            read_foreign(path)
    torch.save([torch.ones(2)], path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(FileError, match="holds a list, not a state dict"):
        read_foreign(path)


def draw(target, seed=0):
    rng = np.random.default_rng(seed)
    return unflatten(
        {key: rng.normal(size=shape).astype(np.float32) for key, shape in target.shapes.items()}
    )


def write_inputs(folder):
    """Writes the files that the README's commands read, with random values; returns theirs."""
    made = {}
    for file, origin, name in (
        ("tf_efficientnet_b0.safetensors", "timm", "b0"),
        ("resnet18.pth", "torchvision", "resnet18"),
    ):
        target = backbone_target(name)
        convention = next(iter(ORIGINS[origin].networks[name].conventions.values()))
        made[name] = draw(target)
        save(folder / file, made[name], origin, target, convention)
    meso = ORIGINS["keras"].networks["meso4"].conventions["same"]
    target = detector_target("meso4", {}, size=256)
    save(folder / "Meso4_DF.h5", draw(target), "keras", target, meso)
    config = load_config("efficientnet_b4_linear")
    options = config.model.frame_classifier.to_dict()
    variables = draw(detector_target("frame_classifier", options, size=64))
    header = {"format": "dfjax", "config": config.to_dict()}
    save_safetensors(folder / "linear.safetensors", variables, metadata=header)
    return made


def test_commands_of_the_readme(root, tmp_path, monkeypatch, capsys):
    made = write_inputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    text = (root / "README.md").read_text()
    commands = re.findall(r"^dfjax (weights (?:import|export) .*)$", text, re.MULTILINE)
    assert len(commands) >= 6
    export = "weights export --to deepfakebench linear.safetensors"
    commands.sort(key=lambda command: not command.startswith(export))  # effnb4.pth is its result
    for command in commands:
        assert main(shlex.split(command)) == 0, capsys.readouterr().err
        if command.startswith(export):
            (tmp_path / "linear.pth").rename(tmp_path / "effnb4.pth")
    for name, variables in made.items():
        loaded, wanted = flatten(load_safetensors(f"{name}.safetensors")[0]), flatten(variables)
        assert all(np.array_equal(loaded[key], wanted[key]) for key in wanted)
    assert len(torch.load("effnb4.pth", weights_only=True)) == 706
