"""Names of torchvision. Its ResNets and VGG16 have the names of timm's."""

from dfjax.models.layers import TORCH_BN, BNConstants
from dfjax.weights.convention import Convention
from dfjax.weights.key_table import TORCH, Table
from dfjax.weights.origin import B_NETS, RESNETS, SIZES, Network, Origin
from dfjax.weights.origins.timm import RESNET, VGG16

BLOCK = "features.{s}.{b_0}.block."
EFFICIENTNET = {
    "stem_conv": "features.0.0",
    "stem_bn": "features.0.1",
    "mbconv.expand_conv": BLOCK + "0.0",
    "mbconv.expand_bn": BLOCK + "0.1",
    "mbconv.depthwise_conv": BLOCK + "1.0",
    "mbconv.depthwise_bn": BLOCK + "1.1",
    "mbconv.se.reduce": BLOCK + "2.fc1",
    "mbconv.se.expand": BLOCK + "2.fc2",
    "mbconv.project_conv": BLOCK + "3.0",
    "mbconv.project_bn": BLOCK + "3.1",
    "mbconv1.depthwise_conv": BLOCK + "0.0",
    "mbconv1.depthwise_bn": BLOCK + "0.1",
    "mbconv1.se.reduce": BLOCK + "1.fc1",
    "mbconv1.se.expand": BLOCK + "1.fc2",
    "mbconv1.project_conv": BLOCK + "2.0",
    "mbconv1.project_bn": BLOCK + "2.1",
    "fused.expand_conv": BLOCK + "0.0",
    "fused.expand_bn": BLOCK + "0.1",
    "fused.project_conv": BLOCK + "1.0",
    "fused.project_bn": BLOCK + "1.1",
    "fused1.project_conv": BLOCK + "0.0",
    "fused1.project_bn": BLOCK + "0.1",
    "logits": "classifier.1",
}
B_TOP = {"top_conv": "features.8.0", "top_bn": "features.8.1"}
V2_TOP = {"top_conv": "features.7.0", "top_bn": "features.7.1"}
CLASSIFIER = ("classifier.",)

TABLES = {
    "efficientnet": Table(TORCH, EFFICIENTNET | B_TOP, CLASSIFIER),
    "efficientnet_v2": Table(TORCH, EFFICIENTNET | V2_TOP, CLASSIFIER),
    "resnet": Table(TORCH, RESNET, ("fc.",)),
    "vgg": Table(TORCH, VGG16, CLASSIFIER),
}

LARGE_BN = BNConstants(epsilon=1e-3, momentum=0.99, unbiased=True)
V2_BN = BNConstants(epsilon=1e-3, momentum=0.9, unbiased=True)
VGGFACE2_MEAN = (131.0912 / 255, 103.8827 / 255, 91.4953 / 255)
VGGFACE2 = {  # as converted from Caffe by way of MatConvNet
    "stem_conv": "conv1_7x7_s2",
    "stem_bn": "conv1_7x7_s2_bn",
    "block.conv1": "conv{s_2}_{b}_1x1_reduce",
    "block.bn1": "conv{s_2}_{b}_1x1_reduce_bn",
    "block.conv2": "conv{s_2}_{b}_3x3",
    "block.bn2": "conv{s_2}_{b}_3x3_bn",
    "block.conv3": "conv{s_2}_{b}_1x1_increase",
    "block.bn3": "conv{s_2}_{b}_1x1_increase_bn",
    "block.shortcut_conv": "conv{s_2}_{b}_1x1_proj",
    "block.shortcut_bn": "conv{s_2}_{b}_1x1_proj_bn",
    "logits": "classifier",
}


def _efficientnet(name: str) -> Network:
    bn = LARGE_BN if name in ("b5", "b6", "b7") else TORCH_BN
    return Network(
        TABLES["efficientnet"], {"symmetric": Convention("symmetric", bn, size=SIZES[name])}
    )


V2S = Convention("symmetric", V2_BN, size=SIZES["v2s"])
NETWORKS = {
    **{name: _efficientnet(name) for name in B_NETS},
    **{
        name: Network(TABLES["resnet"], {"symmetric": Convention("symmetric", TORCH_BN)})
        for name in RESNETS
    },
    "v2s": Network(TABLES["efficientnet_v2"], {"symmetric": V2S}),
    "vgg16": Network(TABLES["vgg"], {"same": Convention("same", None)}),
}
VGGFACE2_NETWORK = Network(
    Table(TORCH, VGGFACE2, ("classifier.",)),
    {"caffe": Convention("caffe", TORCH_BN, VGGFACE2_MEAN, (1 / 255,) * 3)},
    renamed="resnet50_v1",
    note="the names of the file are those of VGGFace2's ResNet50",
)

TORCHVISION = Origin("torchvision", NETWORKS, others={"resnet50": VGGFACE2_NETWORK})
