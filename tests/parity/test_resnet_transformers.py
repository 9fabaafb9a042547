"""ResNet against transformers' own (v1.5 strides), on random weights and statistics: to 1e-4."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from transformers import ResNetConfig, ResNetModel

from dfjax.models.layers import Compute
from dfjax.models.resnet import ResNet
from dfjax.ops.lowering import resolve

pytestmark = pytest.mark.parity

CONFIGS = {
    "resnet18": {
        "hidden_sizes": [64, 128, 256, 512],
        "depths": [2, 2, 2, 2],
        "layer_type": "basic",
    },
    "resnet50": {"hidden_sizes": [256, 512, 1024, 2048], "depths": [3, 4, 6, 3]},
}
BN_NAMES = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}


def randomise(model, seed):
    """Draws what batch normalisation has, so that no scale is 1 and no running mean 0."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in model.state_dict().items():
        if name.endswith(("normalization.weight", "running_var")):
            value.uniform_(0.7, 1.3, generator=generator)
        elif name.endswith(("normalization.bias", "running_mean")):
            value.normal_(0, 0.1, generator=generator)
    for stage in model.encoder.stages:
        for block in stage.layers:  # undamped, sixteen residual branches add up to hundreds
            block.layer[-1].normalization.weight.data *= 0.3


def our_path(name):
    """Where one of their tensors lives in our tree: collection and keys."""
    module, kind, leaf = name.rsplit(".", 2)
    short = "conv" if kind == "convolution" else "bn"
    parts = module.split(".")
    if parts[0] == "embedder":
        keys = [f"stem_{short}"]
    else:
        _, _, stage, _, block, *inner = parts
        keys = [f"stage{int(stage) + 1}_block{int(block) + 1}"]
        if inner == ["shortcut"]:
            keys.append(f"shortcut_{short}")
        else:
            keys.append(f"{short}{int(inner[1]) + 1}")
    leaf = "kernel" if short == "conv" else BN_NAMES[leaf]
    return ["batch_stats" if leaf in ("mean", "var") else "params", *keys, leaf]


def our_variables(model):
    variables = {}
    for name, value in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        *path, leaf = our_path(name)
        node = variables
        for key in path:
            node = node.setdefault(key, {})
        value = value.numpy().copy()
        node[leaf] = jnp.asarray(value.transpose(2, 3, 1, 0) if leaf == "kernel" else value)
    return variables


@pytest.mark.parametrize("name,size", [("resnet18", 64), ("resnet18", 75), ("resnet50", 97)])
def test_equals_transformers(name, size):
    torch.manual_seed(size)
    model = ResNetModel(ResNetConfig(embedding_size=64, **CONFIGS[name]))
    randomise(model, seed=size)
    variables = our_variables(model)
    images = np.asarray(jax.random.normal(jax.random.key(size), (4, size, size, 3)))
    network = ResNet(name, compute=Compute(lowering=resolve("auto")))

    @jax.jit
    def run(variables, images):
        evaluated = network.apply(variables, images, train=False)["top"]
        trained, new = network.apply(variables, images, train=True, mutable=["batch_stats"])
        return evaluated, trained["top"], new["batch_stats"]

    evaluated, trained, stats = run(variables, images)
    theirs = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        expected = {mode: model.train(mode)(theirs).last_hidden_state for mode in (False, True)}
    for actual, mode in ((evaluated, False), (trained, True)):
        maps = expected[mode].numpy().transpose(0, 2, 3, 1)
        assert maps.std() > 0.1  # the comparison is of something
        np.testing.assert_allclose(actual, maps, rtol=0, atol=1e-4)
    updated = our_variables(model)["batch_stats"]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), stats, updated
    )
