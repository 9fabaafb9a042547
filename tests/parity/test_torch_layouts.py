"""Imported files of timm, torchvision and VGGFace2 against networks in plain torch.

The weights and the statistics of batch normalisation are random; every stage and the logits agree.
"""

import jax
import numpy as np
import pytest
import torch
from torch_networks import assert_same_stages, channels_last, images, randomise
from torch_originals import VGG16, ResNet, TimmB0, TorchvisionB0, VGGFace2

import dfjax
from dfjax.models.backbones import make_backbone
from dfjax.models.bn_constants import format_bn
from dfjax.models.layers import Compute
from dfjax.ops.lowering import resolve

pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("compiled_quickly")]

SIZE = 75  # of the images: some maps are odd and some even

RESNET18 = (lambda: ResNet((2, 2, 2, 2), bottleneck=False), ("bn2",))
RESNET50 = (lambda: ResNet((3, 4, 6, 3), bottleneck=True), ("bn3",))
CASES = {  # origin, name of the file, architecture: network, last normalisations, padding
    ("timm", "tf_efficientnet_b0", "b0"): (lambda: TimmB0(same=True), ("3", "bn2"), "same"),
    ("timm", "efficientnet_b0", "b0"): (lambda: TimmB0(same=False), ("3", "bn2"), "symmetric"),
    ("timm", "resnet18", "resnet18"): (*RESNET18, "symmetric"),
    ("torchvision", "efficientnet_b0", "b0"): (TorchvisionB0, ("3.1",), "symmetric"),
    ("torchvision", "resnet18", "resnet18"): (*RESNET18, "symmetric"),
    ("torchvision", "resnet50", "resnet50"): (*RESNET50, "symmetric"),
    ("torchvision", "resnet50_ft_dag", "resnet50"): (VGGFace2, ("increase_bn",), "caffe"),
    ("torchvision", "vgg16", "vgg16"): (VGG16, (), "same"),
}


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_equals_torch(case, tmp_path):
    origin, file, name = case
    make, last, padding = CASES[case]
    torch.manual_seed(SIZE)
    network = make().eval()
    randomise(network, last)
    path = tmp_path / f"{file}.pth"
    torch.save(network.state_dict(), path)
    weights = dfjax.weights.load(path, origin, name)
    assert weights.convention.padding == padding
    assert any("keys are left out" in note for note in weights.notes)  # those of the classifier
    ours, theirs = images(SIZE, 1)
    bn = weights.convention.bn
    module = make_backbone(
        weights.network,
        padding=padding,
        bn=format_bn(bn) if bn else "auto",
        compute=Compute(lowering=resolve("auto")),
    )
    maps = jax.jit(lambda v, x: module.apply(v, x, None, train=False))(weights.variables, ours)
    with torch.no_grad():
        expected = network.stages(theirs)
        wanted = network(theirs).numpy()
    assert_same_stages(maps, {key: channels_last(value) for key, value in expected.items()})
    *_, head = (m for m in network.modules() if isinstance(m, (torch.nn.Linear, torch.nn.Conv2d)))
    kernel, bias = (value.detach().numpy() for value in (head.weight, head.bias))
    logits = np.asarray(maps["top"]).mean((1, 2)) @ kernel.reshape(len(kernel), -1).T + bias
    np.testing.assert_allclose(logits, wanted, rtol=0, atol=1e-4)
