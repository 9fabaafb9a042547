"""Names of DeepfakeBench's detectors, whose parameters are all below `backbone.`.

Class 1 is fake. The detectors are fed values in [-1, 1] at 256 px.
"""

from typing import Any

from dfjax.models.layers import TORCH_BN, BNConstants
from dfjax.weights.convention import HALF, Convention
from dfjax.weights.key_table import TORCH, Table
from dfjax.weights.origin import Network, Origin, Wrapper
from dfjax.weights.origins import efficientnet_pytorch, timm

LINEAR = {"hidden": (), "dropout": (), "input_norm": False, "classes": 2, "method_classes": 0}
LINEAR |= {"width": 1.0, "one_block": False, "unit_features": False}

EFFICIENTNET = {
    path: f"efficientnet.{name}"
    for path, name in efficientnet_pytorch.TABLES["efficientnet"].layers.items()
} | {"logits": "last_layer"}
XCEPTION = timm.XCEPTION | {"logits": "last_linear"}
ADJUST_CHANNEL = {  # a layer that this detector has and does not use
    "adjust_channel.0.weight": (512, 2048, 1, 1),
    "adjust_channel.0.bias": (512,),
    "adjust_channel.1.weight": (512,),
    "adjust_channel.1.bias": (512,),
    "adjust_channel.1.running_mean": (512,),
    "adjust_channel.1.running_var": (512,),
    "adjust_channel.1.num_batches_tracked": (),
}
RESNET = {
    "stem_conv": "resnet.0",
    "stem_bn": "resnet.1",
    **{
        path: name.replace("layer{s}", "resnet.{s_4}")
        for path, name in timm.RESNET.items()
        if path.startswith("block.")
    },
    "logits": "fc",
}
MESO4 = {  # two layers share one batch normalisation
    "conv1": "conv1",
    "bn1": "bn1",
    "conv2": "conv2",
    "bn2": "bn1",
    "conv3": "conv3",
    "bn3": "bn2",
    "conv4": "conv4",
    "bn4": "bn2",
    "hidden": "fc1",
    "logits": "fc2",
}
MESO4_ZEROS = tuple(f"conv{number}.bias" for number in (1, 2, 3, 4))
MESO_INCEPTION4 = {
    f"inception{stage}.branch{branch}_conv{number}": f"Incption{stage}_conv{branch}"
    + (f"_{number}" if branch > 1 else "")
    for stage in (1, 2)
    for branch in (1, 2, 3, 4)
    for number in ((1, 2) if branch > 1 else (1,))
} | {
    "bn1": "Incption1_bn",
    "bn2": "Incption2_bn",
    "conv3": "conv1",
    "bn3": "bn1",
    "conv4": "conv2",
    "bn4": "bn1",
    "hidden": "fc1",
    "logits": "fc2",
}
INCEPTION_ZEROS = tuple(f"{path}.bias" for path in MESO_INCEPTION4 if "conv" in path)
FLATTENED = {"hidden": 16}


def _detector(table: Table, config: str, padding: str, bn: BNConstants, **settings: Any) -> Network:
    return Network(table, {padding: Convention(padding, bn, HALF, HALF, 256)}, config, settings)


NETWORKS = {
    "efficientnet_b4_linear": _detector(
        Table(TORCH, EFFICIENTNET),
        "efficientnet_b4_linear",
        "dfb_stem_valid",
        efficientnet_pytorch.BN,
        **LINEAR,
        backbone="b4",
    ),
    "xception": _detector(
        Table(TORCH, XCEPTION, extras=ADJUST_CHANNEL),
        "xception",
        "symmetric",
        TORCH_BN,
        **LINEAR,
        backbone="xception",
    ),
    "resnet34": _detector(
        Table(TORCH, RESNET), "resnet18", "symmetric", TORCH_BN, **LINEAR, backbone="resnet34"
    ),
    "meso4": _detector(
        Table(TORCH, MESO4, zeros=MESO4_ZEROS, flattened=FLATTENED),
        "meso4",
        "same",
        TORCH_BN,
        classes=2,
    ),
    "mesoinception4": _detector(
        Table(TORCH, MESO_INCEPTION4, zeros=INCEPTION_ZEROS, flattened=FLATTENED),
        "mesoinception4",
        "same",
        TORCH_BN,
        classes=2,
        inception_relu=False,
    ),
}

DEEPFAKEBENCH = Origin("deepfakebench", NETWORKS, (Wrapper("DeepfakeBench", (("", "backbone."),)),))
