"""Names of timm, the library of torch models by Ross Wightman."""

from dfjax.models.layers import TORCH_BN, BNConstants
from dfjax.weights.convention import HALF, IMAGENET_MEAN, IMAGENET_STD, Convention
from dfjax.weights.key_table import TORCH, Table
from dfjax.weights.origin import (
    B_NETS,
    LITE_NETS,
    PLAIN,
    RESNETS,
    SIZES,
    Network,
    Origin,
    Wrapper,
)

STEM = {"stem_conv": "conv_stem", "stem_bn": "bn1"}
TOP = {"top_conv": "conv_head", "top_bn": "bn2", "logits": "classifier"}
MBCONV = {
    "mbconv.expand_conv": "blocks.{s_0}.{b_0}.conv_pw",
    "mbconv.expand_bn": "blocks.{s_0}.{b_0}.bn1",
    "mbconv.depthwise_conv": "blocks.{s_0}.{b_0}.conv_dw",
    "mbconv.depthwise_bn": "blocks.{s_0}.{b_0}.bn2",
    "mbconv.se.reduce": "blocks.{s_0}.{b_0}.se.conv_reduce",
    "mbconv.se.expand": "blocks.{s_0}.{b_0}.se.conv_expand",
    "mbconv.project_conv": "blocks.{s_0}.{b_0}.conv_pwl",
    "mbconv.project_bn": "blocks.{s_0}.{b_0}.bn3",
    "mbconv1.depthwise_conv": "blocks.{s_0}.{b_0}.conv_dw",
    "mbconv1.depthwise_bn": "blocks.{s_0}.{b_0}.bn1",
    "mbconv1.se.reduce": "blocks.{s_0}.{b_0}.se.conv_reduce",
    "mbconv1.se.expand": "blocks.{s_0}.{b_0}.se.conv_expand",
    "mbconv1.project_conv": "blocks.{s_0}.{b_0}.conv_pw",
    "mbconv1.project_bn": "blocks.{s_0}.{b_0}.bn2",
}
FUSED = {
    "fused.expand_conv": "blocks.{s_0}.{b_0}.conv_exp",
    "fused.expand_bn": "blocks.{s_0}.{b_0}.bn1",
    "fused.project_conv": "blocks.{s_0}.{b_0}.conv_pwl",
    "fused.project_bn": "blocks.{s_0}.{b_0}.bn2",
    "fused1.project_conv": "blocks.{s_0}.{b_0}.conv",
    "fused1.project_bn": "blocks.{s_0}.{b_0}.bn1",
}
SEPARABLE = {
    "first.sepconv1.depthwise": "block1.rep.0.conv1",
    "first.sepconv1.pointwise": "block1.rep.0.pointwise",
    "first.bn1": "block1.rep.1",
    "first.sepconv2.depthwise": "block1.rep.3.conv1",
    "first.sepconv2.pointwise": "block1.rep.3.pointwise",
    "first.bn2": "block1.rep.4",
    "block.sepconv1.depthwise": "block{n}.rep.1.conv1",
    "block.sepconv1.pointwise": "block{n}.rep.1.pointwise",
    "block.bn1": "block{n}.rep.2",
    "block.sepconv2.depthwise": "block{n}.rep.4.conv1",
    "block.sepconv2.pointwise": "block{n}.rep.4.pointwise",
    "block.bn2": "block{n}.rep.5",
    "block.sepconv3.depthwise": "block{n}.rep.7.conv1",
    "block.sepconv3.pointwise": "block{n}.rep.7.pointwise",
    "block.bn3": "block{n}.rep.8",
    "block.shortcut_conv": "block{n}.skip",
    "block.shortcut_bn": "block{n}.skipbn",
}
XCEPTION = {  # Cadene's port, `legacy_xception`
    "stem_conv1": "conv1",
    "stem_bn1": "bn1",
    "stem_conv2": "conv2",
    "stem_bn2": "bn2",
    **SEPARABLE,
    "top_sepconv1.depthwise": "conv3.conv1",
    "top_sepconv1.pointwise": "conv3.pointwise",
    "top_bn1": "bn3",
    "top_sepconv2.depthwise": "conv4.conv1",
    "top_sepconv2.pointwise": "conv4.pointwise",
    "top_bn2": "bn4",
    "logits": "fc",
}
RESNET = {
    "stem_conv": "conv1",
    "stem_bn": "bn1",
    "block.conv1": "layer{s}.{b_0}.conv1",
    "block.bn1": "layer{s}.{b_0}.bn1",
    "block.conv2": "layer{s}.{b_0}.conv2",
    "block.bn2": "layer{s}.{b_0}.bn2",
    "block.conv3": "layer{s}.{b_0}.conv3",
    "block.bn3": "layer{s}.{b_0}.bn3",
    "block.shortcut_conv": "layer{s}.{b_0}.downsample.0",
    "block.shortcut_bn": "layer{s}.{b_0}.downsample.1",
    "logits": "fc",
}
VGG16 = {
    "stage1_conv1": "features.0",
    "stage1_conv2": "features.2",
    "stage2_conv1": "features.5",
    "stage2_conv2": "features.7",
    "stage3_conv1": "features.10",
    "stage3_conv2": "features.12",
    "stage3_conv3": "features.14",
    "stage4_conv1": "features.17",
    "stage4_conv2": "features.19",
    "stage4_conv3": "features.21",
    "stage5_conv1": "features.24",
    "stage5_conv2": "features.26",
    "stage5_conv3": "features.28",
}

TABLES = {
    "efficientnet": Table(TORCH, STEM | MBCONV | FUSED | TOP, ("classifier.",)),
    "xception": Table(TORCH, XCEPTION, ("fc.",)),
    "resnet": Table(TORCH, RESNET, ("fc.",)),
    "vgg": Table(TORCH, VGG16, ("pre_logits.", "head.")),
}

TF_EPSILON = BNConstants(epsilon=1e-3, momentum=0.9, unbiased=True)


def _efficientnet(name: str) -> Network:
    """Returns both conventions: of `tf_efficientnet_…`, and of timm's own training."""
    size, inception = SIZES[name], name.startswith(("lite", "v2"))
    mean, std = (HALF, HALF) if inception else (IMAGENET_MEAN, IMAGENET_STD)
    return Network(
        TABLES["efficientnet"],
        {
            "same": Convention("same", TF_EPSILON, mean, std, size),
            "symmetric": Convention("symmetric", TORCH_BN, size=size),
        },
    )


SYMMETRIC = Convention("symmetric", TORCH_BN)
NETWORKS = {
    **{name: _efficientnet(name) for name in (*B_NETS, *LITE_NETS, "v2s")},
    **{name: Network(TABLES["resnet"], {"symmetric": SYMMETRIC}) for name in RESNETS},
    "xception": Network(
        TABLES["xception"], {"symmetric": Convention("symmetric", TORCH_BN, HALF, HALF, 299)}
    ),
    "vgg16": Network(TABLES["vgg"], {"same": Convention("same", None)}),
}
DFDC = Wrapper(
    "the winner of the DFDC challenge",
    (("classifier.", "fc."), ("", "encoder.")),
    {"padding": "same", "size": 380},
)

TIMM = Origin("timm", NETWORKS, (PLAIN, DFDC), hints={"tf_": "same", "efficientnet": "symmetric"})
