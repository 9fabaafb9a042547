"""Random weights for torch networks, and their maps in our layout."""

import numpy as np
import torch

from dfjax.weights.safetensors_file import flatten


def randomise(network, last, seed=0):
    """Draws what batch normalisation has, so that no scale is 1 and no running mean 0.

    Args:
        network: Torch module, changed in place.
        last: Ends of the names of the last normalisations of residual branches, which are damped:
            otherwise the sums of dozens of branches reach 1e5.
        seed: Seed of the values.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            damping = 0.3 if name.endswith(last) else 1.0
            module.weight.data.uniform_(0.7, 1.3, generator=generator).mul_(damping)
            module.running_var.uniform_(0.7, 1.3, generator=generator)
            for value in (module.bias.data, module.running_mean):
                value.normal_(0, 0.1, generator=generator)


def images(size, count, seed=0):
    """Returns normalised images `[n, s, s, 3]` and the same as a torch tensor `[n, 3, s, s]`."""
    values = np.random.default_rng(seed).normal(size=(count, size, size, 3)).astype(np.float32)
    return values, torch.from_numpy(values.transpose(0, 3, 1, 2).copy())


def channels_last(tensor):
    """Returns torch maps as `[n, h, w, C]`."""
    return tensor.detach().numpy().transpose(0, 2, 3, 1)


def assert_same_stages(ours, theirs):
    """Checks maps by name to 1e-4 of the largest value of each stage."""
    for name, expected in theirs.items():
        assert ours[name].shape == expected.shape, name
        scale = np.abs(expected).max()
        assert expected.std() > 1e-3, name  # the comparison is of something
        np.testing.assert_allclose(ours[name], expected, rtol=0, atol=1e-4 * scale, err_msg=name)


def assert_same_statistics(ours, theirs):
    """Checks running statistics to 1e-4."""
    ours, theirs = flatten({"batch_stats": ours}), flatten({"batch_stats": theirs})
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-4, atol=1e-4, err_msg=name)
