"""Imported weights of efficientnet_pytorch and its Lite variants against the packages themselves.

Its padding is that of the native image size at every size, which gives B0 at 112 px maps of 3 x 3
cells. DeepfakeBench's detector is efficientnet_pytorch's B4 with another stem and last layer.
"""

import itertools

import efficientnet_lite_pytorch
import efficientnet_pytorch
import jax
import numpy as np
import pytest
import torch
from torch_networks import (
    assert_same_stages,
    assert_same_statistics,
    channels_last,
    images,
    randomise,
)

import dfjax
from dfjax.commands.main import main
from dfjax.config import from_dict
from dfjax.models import build
from dfjax.models.backbones import make_backbone
from dfjax.models.bn_constants import format_bn
from dfjax.models.layers import Compute
from dfjax.ops.lowering import resolve
from dfjax.weights.safetensors_file import load_safetensors

pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("compiled_quickly")]

REPEATS = {"b0": (1, 2, 2, 3, 3, 4, 1), "b4": (2, 4, 4, 6, 6, 8, 2), "lite0": (1, 2, 2, 3, 3, 4, 1)}


def make_network(name, **options):
    package = efficientnet_lite_pytorch if name.startswith("lite") else efficientnet_pytorch
    torch.manual_seed(1)
    network = package.EfficientNet.from_name(f"efficientnet-{name}", **options).eval()
    randomise(network, ("_bn2",))
    return network


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Returns the function `imported(name) -> (network, weights)`, which keeps its results."""
    kept = {}

    def load(name):
        if name not in kept:
            network = make_network(name)
            path = tmp_path_factory.mktemp("weights") / f"{name}.pth"
            torch.save({"state_dict": network.state_dict()}, path)
            kept[name] = network, dfjax.weights.load(path, "efficientnet_pytorch", name)
        return kept[name]

    return load


def make_ours(name, convention):
    return make_backbone(
        name,
        padding=convention.padding,
        bn=format_bn(convention.bn),
        compute=Compute(lowering=resolve("auto")),
    )


def their_maps(network, x, repeats):
    """Returns the last map of every stage by our names."""
    last = dict(zip(itertools.accumulate(repeats), range(1, 8)))
    maps, hooks = {}, []
    for number, block in enumerate(network._blocks, 1):
        if number in last:
            key = f"stage{last[number]}"
            hook = block.register_forward_hook(
                lambda module, inputs, output, key=key: maps.update({key: channels_last(output)})
            )
            hooks.append(hook)
    with torch.no_grad():
        maps["top"] = channels_last(network.extract_features(x))
    for hook in hooks:
        hook.remove()
    return maps


@pytest.mark.parametrize(
    "name,size",
    [
        *(("b0", size) for size in (112, 131, 224, 256, 380)),
        ("b4", 224),
        ("b4", 380),
        ("lite0", 224),
        ("lite0", 131),
    ],
)
def test_stages_and_logits(name, size, imported):
    network, weights = imported(name)
    assert weights.convention.padding == "static" and weights.convention.bn.epsilon == 1e-3
    ours, theirs = images(size, 1, seed=size)
    module = make_ours(name, weights.convention)
    maps = jax.jit(lambda v, x: module.apply(v, x, None, train=False))(weights.variables, ours)
    expected = their_maps(network, theirs, REPEATS[name])
    assert_same_stages(maps, expected)
    if (name, size) == ("b0", 112):
        assert maps["top"].shape[1:3] == (3, 3)
    head = [value.detach().numpy() for value in network._fc.parameters()]
    logits = np.asarray(maps["top"]).mean((1, 2)) @ head[0].T + head[1]
    with torch.no_grad():
        wanted = network(theirs).numpy()
    np.testing.assert_allclose(logits, wanted, rtol=0, atol=1e-4)


def test_training_step_of_b0(tmp_path):
    network = make_network("b0", drop_connect_rate=0.0)
    torch.save(network.state_dict(), tmp_path / "b0.pth")
    weights = dfjax.weights.load(tmp_path / "b0.pth", "efficientnet_pytorch", "b0")
    ours, theirs = images(64, 4)
    module = make_ours("b0", weights.convention).copy(drop_path=0.0)

    @jax.jit
    def run(variables, x):
        return module.apply(variables, x, None, train=True, mutable=["batch_stats"])

    maps, new = run(weights.variables, ours)
    with torch.no_grad():
        expected = channels_last(network.train().extract_features(theirs))
    np.testing.assert_allclose(maps["top"], expected, rtol=0, atol=1e-4)
    torch.save(network.state_dict(), tmp_path / "b0.pth")
    after = dfjax.weights.load(tmp_path / "b0.pth", "efficientnet_pytorch", "b0")
    assert_same_statistics(new["batch_stats"], after.variables["batch_stats"])


class StandIn(torch.nn.Module):
    """Has the modules of DeepfakeBench's detector under its names."""

    def __init__(self):
        super().__init__()
        self.backbone = torch.nn.Module()
        network = efficientnet_pytorch.EfficientNet.from_name("efficientnet-b4")
        network._conv_stem = torch.nn.Conv2d(3, 48, kernel_size=3, stride=2, bias=False)
        network._fc = torch.nn.Identity()
        self.backbone.efficientnet = network
        self.backbone.last_layer = torch.nn.Linear(1792, 2)

    def forward(self, x):
        maps = self.backbone.efficientnet.extract_features(x)
        return self.backbone.last_layer(maps.mean((2, 3)))


def test_deepfakebench_loads_our_export_and_gives_our_logits(tmp_path, capsys):
    torch.manual_seed(2)
    theirs = StandIn().eval()
    randomise(theirs, ("_bn2",))
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    name = ["--model", "efficientnet_b4_linear"]
    ours, back = str(tmp_path / "w.safetensors"), str(tmp_path / "back.pth")
    files = [str(tmp_path / "theirs.pth"), *name, "--out", ours]
    assert main(["weights", "import", "--from", "deepfakebench", *files]) == 0
    assert main(["weights", "export", "--to", "deepfakebench", ours, *name, "--out", back]) == 0
    capsys.readouterr()
    state = torch.load(back, weights_only=True)
    assert len(state) == 706 and sum(k.endswith("num_batches_tracked") for k in state) == 96
    other = StandIn().eval()
    other.load_state_dict(state, strict=True)
    for key, value in theirs.state_dict().items():
        assert torch.equal(state[key], value) or key.endswith("num_batches_tracked")

    variables, header = load_safetensors(ours)
    config = from_dict(header["config"])
    assert tuple(config.preprocess.mean) == (0.5, 0.5, 0.5) and config.preprocess.size == 256
    pixels = np.random.default_rng(3).integers(0, 256, (1, 1, 256, 256, 3), np.uint8)
    with torch.no_grad():
        x = (torch.from_numpy(pixels[0].transpose(0, 3, 1, 2).copy()) / 255 - 0.5) / 0.5
        expected = other(x).numpy()
    clip = (pixels.astype(np.float32) / 255 - 0.5) / 0.5
    options = config.model.frame_classifier.to_dict()
    model = build("frame_classifier", **options)
    inputs = {"rgb": clip, "mask": np.ones((1, 1), bool)}
    logits, outputs, _ = jax.jit(lambda v, x: model.apply(v, x, train=False, rngs=None))(
        variables, inputs
    )
    np.testing.assert_allclose(outputs["class_logits"], expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(logits, expected[:, 1] - expected[:, 0], rtol=0, atol=2e-4)
