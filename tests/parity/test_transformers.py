"""ResNet and EfficientNet of transformers, imported from the files that it writes itself.

The weights and the statistics of batch normalisation are random. EfficientNet pads by the rule of
its native size; the blocks in `depthwise_padding` are those that see an odd map at that size.
"""

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
from transformers import (
    EfficientNetConfig,
    EfficientNetForImageClassification,
    ResNetConfig,
    ResNetForImageClassification,
    ResNetModel,
)

import dfjax
from dfjax.models.backbones import make_backbone
from dfjax.models.bn_constants import format_bn
from dfjax.models.layers import Compute
from dfjax.ops.lowering import resolve

pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("compiled_quickly")]

RESNETS = {
    "resnet18": {
        "hidden_sizes": [64, 128, 256, 512],
        "depths": [2, 2, 2, 2],
        "layer_type": "basic",
    },
    "resnet50": {"hidden_sizes": [256, 512, 1024, 2048], "depths": [3, 4, 6, 3]},
}
# As published: width, depth, native size, width of the top, blocks with symmetric padding.
EFFICIENTNETS = {"b0": (1.0, 1.0, 224, 1280, []), "b2": (1.1, 1.2, 260, 1408, [5, 8, 16])}
LAST_BLOCKS = {"b0": (1, 3, 5, 8, 11, 15, 16), "b2": (2, 5, 8, 12, 16, 21, 23)}
HEAD = 3  # classes


def load(model, folder, name):
    """Returns the weights in the file that the model writes."""
    model.save_pretrained(folder)
    return dfjax.weights.load(folder / "model.safetensors", "transformers", name)


def make_ours(name, convention):
    network = make_backbone(
        name,
        padding=convention.padding,
        bn=format_bn(convention.bn),
        compute=Compute(lowering=resolve("auto")),
    )
    return network.copy(drop_path=0.0)


def apply_ours(network, variables, x):
    """Returns the maps in both modes, and the statistics that a training step leaves."""

    @jax.jit
    def run(variables, x):
        evaluated = network.apply(variables, x, None, train=False)
        trained, new = network.apply(variables, x, None, train=True, mutable=["batch_stats"])
        return evaluated, trained, new["batch_stats"]

    return run(variables, x)


@pytest.mark.parametrize("name,size", [("resnet18", 64), ("resnet18", 75), ("resnet50", 97)])
def test_resnets(name, size, tmp_path):
    torch.manual_seed(size)
    kind = ResNetModel if size == 75 else ResNetForImageClassification  # with and without prefix
    model = kind(ResNetConfig(embedding_size=64, num_labels=HEAD, **RESNETS[name]))
    randomise(model, ("1.normalization" if name == "resnet18" else "2.normalization",))
    weights = load(model, tmp_path, name)
    ours, theirs = images(size, 4, seed=size)
    network = make_ours(name, weights.convention)
    evaluated, trained, stats = apply_ours(network, weights.variables, ours)
    body = getattr(model, "resnet", model)
    for maps, mode in ((evaluated, False), (trained, True)):
        with torch.no_grad():
            _, *stages = body.train(mode)(theirs, output_hidden_states=True).hidden_states
        expected = {f"stage{n}": channels_last(stage) for n, stage in enumerate(stages, 1)}
        assert_same_stages(maps, expected)
        np.testing.assert_allclose(maps["top"], expected["stage4"], rtol=0, atol=1e-4)
    assert_same_statistics(stats, load(model, tmp_path, name).variables["batch_stats"])


def make_efficientnet(name):
    width, depth, size, top, symmetric = EFFICIENTNETS[name]
    torch.manual_seed(1)
    config = EfficientNetConfig(
        width_coefficient=width,
        depth_coefficient=depth,
        image_size=size,
        hidden_dim=top,
        depthwise_padding=symmetric,
        num_labels=HEAD,
        dropout_rate=0.0,
        drop_connect_rate=0.0,
        initializer_range=0.1,
    )
    model = EfficientNetForImageClassification(config).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):  # those of the initialisation shrink every map
            torch.nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.01  # of the training; transformers has 0.99 and 0.1
    randomise(model, ("project_bn",))
    return model


@pytest.mark.parametrize("name,size", [("b0", 112), ("b0", 131), ("b2", 75)])
def test_efficientnets(name, size, tmp_path):
    model = make_efficientnet(name)
    weights = load(model, tmp_path, name)
    assert weights.convention.padding == "static"
    assert any("keys are left out: classifier." in note for note in weights.notes)
    ours, theirs = images(size, 1, seed=size)
    network = make_ours(name, weights.convention)
    maps = jax.jit(lambda v, x: network.apply(v, x, None, train=False))(weights.variables, ours)
    with torch.no_grad():
        states = model.efficientnet(theirs, output_hidden_states=True)
        wanted = model(theirs).logits.numpy()
    blocks = states.hidden_states
    expected = {f"stage{n}": blocks[last] for n, last in enumerate(LAST_BLOCKS[name], 1)}
    expected |= {"stem": blocks[0], "top": states.last_hidden_state}
    assert_same_stages(maps, {key: channels_last(value) for key, value in expected.items()})
    kernel, bias = (value.detach().numpy() for value in model.classifier.parameters())
    logits = np.asarray(maps["top"]).mean((1, 2)) @ kernel.T + bias
    np.testing.assert_allclose(logits, wanted, rtol=0, atol=1e-4)


def test_training_step_of_b0(tmp_path):
    model = make_efficientnet("b0")
    weights = load(model, tmp_path, "b0")
    ours, theirs = images(96, 4)
    network = make_ours("b0", weights.convention)
    _, maps, stats = apply_ours(network, weights.variables, ours)
    with torch.no_grad():
        expected = channels_last(model.train().efficientnet(theirs).last_hidden_state)
    np.testing.assert_allclose(maps["top"], expected, rtol=0, atol=1e-4)
    assert_same_statistics(stats, load(model, tmp_path, "b0").variables["batch_stats"])


def test_transformers_loads_our_export(tmp_path):
    """With the classifier: the file of a detector has every key of theirs."""
    from safetensors.torch import load_file

    from dfjax.weights.target import detector_target

    options = {"backbone": "resnet18", "hidden": (), "dropout": (), "classes": 2}
    target = detector_target("frame_classifier", options, size=64)
    model = ResNetForImageClassification(ResNetConfig(num_labels=2, **RESNETS["resnet18"]))
    randomise(model, ("1.normalization",))
    model.save_pretrained(tmp_path)
    weights = dfjax.weights.load(tmp_path / "model.safetensors", "transformers", target)
    path = tmp_path / "ours.safetensors"
    dfjax.weights.save(path, weights.variables, "transformers", target, weights.convention)
    state = load_file(path)
    other = ResNetForImageClassification(model.config)
    other.load_state_dict(state, strict=True)
    for key, value in model.state_dict().items():
        assert torch.equal(state[key], value), key
