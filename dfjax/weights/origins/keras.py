"""Names of `keras.applications`. The layers are in the order in which Keras stores them."""

import re
from collections.abc import Mapping

import numpy as np

from dfjax.models.efficientnet import V2_BN
from dfjax.models.layers import TF_BN, BNConstants
from dfjax.weights.convention import (
    HALF,
    IMAGENET_STD,
    ONE,
    RGB,
    ZERO,
    Convention,
)
from dfjax.weights.key_table import KERAS, Table
from dfjax.weights.origin import B_NETS, SIZES, Network, Origin

UNNAMED = re.compile(r"^(conv2d|batch_normalization|dense)(_\d+)?/")

MBCONV = {
    "mbconv.expand_conv": "block{s}{letter}_expand_conv",
    "mbconv.expand_bn": "block{s}{letter}_expand_bn",
    "mbconv.depthwise_conv": "block{s}{letter}_dwconv",
    "mbconv.depthwise_bn": "block{s}{letter}_bn",
    "mbconv.se.reduce": "block{s}{letter}_se_reduce",
    "mbconv.se.expand": "block{s}{letter}_se_expand",
    "mbconv.project_conv": "block{s}{letter}_project_conv",
    "mbconv.project_bn": "block{s}{letter}_project_bn",
}
V2 = MBCONV | {"mbconv.depthwise_conv": "block{s}{letter}_dwconv2"}


def _efficientnet(blocks: dict[str, str]) -> dict[str, str]:
    """Returns the names of the whole network; a block without a layer has the same other names."""
    others = {
        key.replace("mbconv.", f"{kind}."): name
        for kind in ("mbconv1", "fused", "fused1")
        for key, name in blocks.items()
    }
    top = {"top_conv": "top_conv", "top_bn": "top_bn", "logits": "predictions"}
    return {"stem_conv": "stem_conv", "stem_bn": "stem_bn", **blocks, **others, **top}


RESNET = {
    "stem_conv": "conv1_conv",
    "stem_bn": "conv1_bn",
    "block.conv1": "conv{s_2}_block{b}_1_conv",
    "block.bn1": "conv{s_2}_block{b}_1_bn",
    "block.conv2": "conv{s_2}_block{b}_2_conv",
    "block.bn2": "conv{s_2}_block{b}_2_bn",
    "block.shortcut_conv": "conv{s_2}_block{b}_0_conv",
    "block.conv3": "conv{s_2}_block{b}_3_conv",
    "block.shortcut_bn": "conv{s_2}_block{b}_0_bn",
    "block.bn3": "conv{s_2}_block{b}_3_bn",
    "logits": "predictions",
}
XCEPTION = {
    "stem_conv1": "block1_conv1",
    "stem_bn1": "block1_conv1_bn",
    "stem_conv2": "block1_conv2",
    "stem_bn2": "block1_conv2_bn",
    **{
        f"block.{part}": name
        for number in (1, 2, 3)
        for part, name in (
            (f"sepconv{number}.depthwise", f"block{{n_2}}_sepconv{number}/depthwise_kernel"),
            (f"sepconv{number}.pointwise", f"block{{n_2}}_sepconv{number}/pointwise_kernel"),
            (f"bn{number}", f"block{{n_2}}_sepconv{number}_bn"),
        )
    },
    "block.shortcut_conv": "conv2d#{s}",  # without a name of their own: the first, second … one
    "block.shortcut_bn": "batch_normalization#{s}",
    "top_sepconv1.depthwise": "block14_sepconv1/depthwise_kernel",
    "top_sepconv1.pointwise": "block14_sepconv1/pointwise_kernel",
    "top_bn1": "block14_sepconv1_bn",
    "top_sepconv2.depthwise": "block14_sepconv2/depthwise_kernel",
    "top_sepconv2.pointwise": "block14_sepconv2/pointwise_kernel",
    "top_bn2": "block14_sepconv2_bn",
    "logits": "predictions",
}
VGG16 = {
    f"stage{stage}_conv{number}": f"block{stage}_conv{number}"
    for stage, count in enumerate((2, 2, 3, 3, 3), 1)
    for number in range(1, count + 1)
}
MESO_END = {"hidden": "dense#1", "logits": "dense#2"}
MESO4 = {
    f"{part}{number}": f"{name}#{number}"
    for number in (1, 2, 3, 4)
    for part, name in (("conv", "conv2d"), ("bn", "batch_normalization"))
} | MESO_END
MESO_INCEPTION4 = {
    **{
        f"inception{stage}.{part}": f"conv2d#{first + offset}"
        for stage, first in ((1, 1), (2, 8))
        for part, offset in (
            ("branch2_conv1", 1),
            ("branch3_conv1", 3),
            ("branch4_conv1", 5),
            ("branch1_conv1", 0),
            ("branch2_conv2", 2),
            ("branch3_conv2", 4),
            ("branch4_conv2", 6),
        )
    },
    "bn1": "batch_normalization#1",
    "bn2": "batch_normalization#2",
    "conv3": "conv2d#15",
    "bn3": "batch_normalization#3",
    "conv4": "conv2d#16",
    "bn4": "batch_normalization#4",
    **MESO_END,
}

CLASSIFIER = ("predictions/",)
TABLES = {
    "efficientnet": Table(KERAS, _efficientnet(MBCONV), CLASSIFIER),
    "efficientnet_v2": Table(KERAS, _efficientnet(V2), CLASSIFIER),
    "resnet": Table(KERAS, RESNET, CLASSIFIER, biases=True, reversed_input="stem_conv"),
    "xception": Table(KERAS, XCEPTION, CLASSIFIER),
    "vgg": Table(KERAS, VGG16, ("fc1/", "fc2/", "predictions/"), reversed_input="stage1_conv1"),
    "meso4": Table(KERAS, MESO4),
    "mesoinception4": Table(KERAS, MESO_INCEPTION4),
}

CAFFE_MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)
CAFFE_STD = (1 / 255,) * 3
V2_SHIFT = (128 / 255,) * 3
RESNET_BN = BNConstants(epsilon=1.001e-5, momentum=0.99, unbiased=False)
BGR_NOTE = (
    "Keras feeds this network blue, green, red: the input channels of the first convolution are "
    "reversed, so that it reads RGB here"
)


def _b_net(name: str) -> Network:
    # What its own normalisation layer holds is read from the file.
    return Network(TABLES["efficientnet"], {"same": Convention("same", TF_BN, size=SIZES[name])})


V2S = Convention("same", V2_BN, V2_SHIFT, V2_SHIFT, SIZES["v2s"])
CAFFE = Convention("symmetric", RESNET_BN, CAFFE_MEAN, CAFFE_STD)
RESNET50 = Network(TABLES["resnet"], {"symmetric": CAFFE}, renamed="resnet50_v1", note=BGR_NOTE)
MESO = {"same": Convention("same", TF_BN, ZERO, ONE, 256)}
NETWORKS = {
    **{name: _b_net(name) for name in B_NETS},
    "v2s": Network(TABLES["efficientnet_v2"], {"same": V2S}),
    "xception": Network(TABLES["xception"], {"same": Convention("same", TF_BN, HALF, HALF, 299)}),
    "resnet50": RESNET50,
    "resnet50_v1": RESNET50,
    "vgg16": Network(
        TABLES["vgg"],
        {"same": Convention("same", None, CAFFE_MEAN, CAFFE_STD)},
        note=BGR_NOTE,
    ),
    "meso4": Network(TABLES["meso4"], MESO, config="meso4", positive_real=True),
    "mesoinception4": Network(
        TABLES["mesoinception4"], MESO, config="mesoinception4", positive_real=True
    ),
}


def number_layers(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the arrays with layers without a name of their own counted: `conv2d_7` → `conv2d#2`.

    Keras numbers them over all networks of a process, so that only their order tells anything.
    """
    found: dict[str, set[str]] = {}
    for key in arrays:
        if match := UNNAMED.match(key):
            found.setdefault(match[1], set()).add(match[2] or "")
    numbers = {
        kind: {tail: number for number, tail in enumerate(sorted(tails, key=_tail_number), 1)}
        for kind, tails in found.items()
    }

    def rename(match: re.Match[str]) -> str:
        return f"{match[1]}#{numbers[match[1]][match[2] or '']}/"

    return {UNNAMED.sub(rename, key): value for key, value in arrays.items()}


def name_layers(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the arrays with the names of counted layers as Keras has them, `conv2d_2`."""
    return {key.replace("#", "_"): value for key, value in arrays.items()}


def _tail_number(tail: str) -> int:
    return int(tail.removeprefix("_") or 0)


def read_normalisation(arrays: Mapping[str, np.ndarray]) -> tuple[RGB, RGB] | None:
    """Returns the mean and the standard deviation of a network's normalisation layer.

    Keras stores the standard deviations of ImageNet as variances and divides by their roots once
    more where the weights are those of ImageNet.
    """
    found = {key.partition("/")[2]: key for key in arrays if key.startswith("normalization")}
    if not {"mean", "variance"} <= found.keys():
        return None
    means, variances = (arrays[found[key]].reshape(-1) for key in ("mean", "variance"))
    if means.size != 3 or variances.size != 3 or not np.all(variances > 0):
        return None
    published = np.allclose(variances, IMAGENET_STD, atol=1e-4)
    std = IMAGENET_STD if published else _triple(np.sqrt(variances.astype(np.float64)))
    return _triple(means), std


def make_normalisation(convention: Convention) -> dict[str, np.ndarray]:
    """Returns the weights of the normalisation layer of a network that is built without weights."""
    return {
        "normalization/mean": np.asarray(convention.mean, np.float32),
        "normalization/variance": np.asarray(convention.std, np.float32) ** 2,
        "normalization/count": np.zeros((), np.int32),
    }


def _triple(values: np.ndarray) -> RGB:
    red, green, blue = (round(float(value), 6) for value in values)  # stored as float32
    return red, green, blue


KERAS_APPLICATIONS = Origin("keras", NETWORKS, keras=True)
