"""Torch files of every kind, those that are refused, and the README's commands for weights."""

import collections
import dataclasses
import os
import re
import shlex

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from dfjax.commands.main import main
from dfjax.config import load_config
from dfjax.errors import FileError
from dfjax.models import build
from dfjax.models.bn_constants import format_bn
from dfjax.models.vit_variants import VARIANTS
from dfjax.weights.fit import usual_fit
from dfjax.weights.foreign_file import read_foreign
from dfjax.weights.loading import load
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


def mesonet(state, x, stages):
    """DeepfakeBench's MesoNet in functions: `stages` are the convolutions and normalisations."""
    fn = torch.nn.functional

    def conv(x, name):
        kernel = state[f"backbone.{name}.weight"]
        dilation = int(name[-3]) - 1 if name.endswith("_2") else 1
        around = dilation * (kernel.shape[2] // 2)
        return fn.conv2d(x, kernel, padding=around, dilation=dilation)

    for number, (branches, norm) in enumerate(stages, 1):
        outs = []
        for names in branches:
            y = x
            for name in names:
                y = conv(y, name)
            outs.append(fn.relu(y) if len(branches) == 1 else y)
        keys = ("running_mean", "running_var", "weight", "bias")
        values = [state[f"backbone.{norm}.{key}"] for key in keys]
        x = fn.max_pool2d(fn.batch_norm(torch.cat(outs, 1), *values), 4 if number == 4 else 2)
    x = fn.linear(x.flatten(1), state["backbone.fc1.weight"], state["backbone.fc1.bias"])
    x = fn.leaky_relu(x, 0.1)
    return fn.linear(x, state["backbone.fc2.weight"], state["backbone.fc2.bias"])


def inception(number):
    name = f"Incption{number}_conv"
    branches = [[f"{name}1"], *([f"{name}{k}_1", f"{name}{k}_2"] for k in (2, 3, 4))]
    return branches, f"Incption{number}_bn"


MESONETS = {
    "meso4": [([[f"conv{n}"]], f"bn{1 + (n > 2)}") for n in (1, 2, 3, 4)],
    "mesoinception4": [inception(1), inception(2), ([["conv1"]], "bn1"), ([["conv2"]], "bn1")],
}


@pytest.mark.parametrize("name", MESONETS)
def test_mesonets_of_deepfakebench(name, tmp_path):
    network = ORIGINS["deepfakebench"].networks[name]
    target = detector_target(name, network.settings, size=256)
    generator = torch.Generator().manual_seed(0)
    state = {}
    for entry in usual_fit(ORIGINS["deepfakebench"], target).key_map.entries:
        shape = entry.their_shape()
        value = torch.randn(shape, generator=generator) / np.sqrt(np.prod(shape[1:]) or 1)
        state[entry.theirs] = value.abs() + 0.5 if entry.theirs.endswith("var") else value
    torch.save(state, tmp_path / "w.pth")
    weights = load(tmp_path / "w.pth", "deepfakebench", target)
    x = np.random.default_rng(0).normal(size=(1, 1, 256, 256, 3)).astype(np.float32)
    model = build(name, **network.settings, bn=format_bn(weights.convention.bn))
    inputs = {"rgb": jnp.asarray(x), "mask": jnp.ones((1, 1), bool)}
    run = jax.jit(lambda variables: model.apply(variables, inputs, train=False, rngs=None)[1])
    outputs = run(weights.variables)
    expected = mesonet(state, torch.from_numpy(x[0].transpose(0, 3, 1, 2).copy()), MESONETS[name])
    assert expected.std() > 1e-2  # the comparison is of something
    np.testing.assert_allclose(outputs["class_logits"], expected.numpy(), rtol=0, atol=1e-5)


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
        ("model.safetensors", "transformers", "clip_l14"),
    ):
        target = backbone_target(name)
        convention = next(iter(ORIGINS[origin].networks[name].conventions.values()))
        made[name] = draw(target)
        save(folder / file, made[name], origin, target, convention)
    options = {"backbone": "clip_l14", "hidden": (), "dropout": (), "classes": 2}
    target = detector_target("frame_classifier", options, size=224)
    target = dataclasses.replace(target, name="gend")
    made["gend"] = draw(target)
    convention = ORIGINS["gend"].networks["gend"].conventions["same"]
    (folder / "gend").mkdir()
    save(folder / "gend" / "model.safetensors", made["gend"], "gend", target, convention)
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
    narrow = dataclasses.replace(VARIANTS["clip_l14"], width=64, blocks=2, heads=1)
    monkeypatch.setitem(VARIANTS, "clip_l14", narrow)  # a file of the whole one has 1.2 GB
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
