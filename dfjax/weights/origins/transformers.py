"""Names of Hugging Face's transformers: its classifiers of images, and the networks below them."""

from dfjax.models.layers import TORCH_BN, BNConstants
from dfjax.weights.convention import Convention
from dfjax.weights.key_table import TORCH, Table
from dfjax.weights.origin import B_NETS, PLAIN, RESNETS, SIZES, Network, Origin, Wrapper
from dfjax.weights.origins.transformers_vit import VITS

BLOCK = "efficientnet.encoder.blocks.{n_0}."
MBCONV = {
    "mbconv.expand_conv": BLOCK + "expansion.expand_conv",
    "mbconv.expand_bn": BLOCK + "expansion.expand_bn",
    "mbconv.depthwise_conv": BLOCK + "depthwise_conv.depthwise_conv",
    "mbconv.depthwise_bn": BLOCK + "depthwise_conv.depthwise_norm",
    "mbconv.se.reduce": BLOCK + "squeeze_excite.reduce",
    "mbconv.se.expand": BLOCK + "squeeze_excite.expand",
    "mbconv.project_conv": BLOCK + "projection.project_conv",
    "mbconv.project_bn": BLOCK + "projection.project_bn",
}
EFFICIENTNET = {
    "stem_conv": "efficientnet.embeddings.convolution",
    "stem_bn": "efficientnet.embeddings.batchnorm",
    **MBCONV,
    **{key.replace("mbconv.", "mbconv1."): name for key, name in MBCONV.items()},
    "top_conv": "efficientnet.encoder.top_conv",
    "top_bn": "efficientnet.encoder.top_bn",
    "logits": "classifier",
}
LAYER = "resnet.encoder.stages.{s_0}.layers.{b_0}."
RESNET = {
    "stem_conv": "resnet.embedder.embedder.convolution",
    "stem_bn": "resnet.embedder.embedder.normalization",
    "block.conv1": LAYER + "layer.0.convolution",
    "block.bn1": LAYER + "layer.0.normalization",
    "block.conv2": LAYER + "layer.1.convolution",
    "block.bn2": LAYER + "layer.1.normalization",
    "block.conv3": LAYER + "layer.2.convolution",
    "block.bn3": LAYER + "layer.2.normalization",
    "block.shortcut_conv": LAYER + "shortcut.convolution",
    "block.shortcut_bn": LAYER + "shortcut.normalization",
    "logits": "classifier.1",
}

TABLES = {
    "efficientnet": Table(TORCH, EFFICIENTNET, ("classifier.",)),
    "resnet": Table(TORCH, RESNET, ("classifier.",)),
}

# The decay that the published weights were trained with. transformers hands this number to torch,
# where it means a decay of 0.01, which shows only when it trains a network further.
TRAINED_BN = BNConstants(epsilon=1e-3, momentum=0.99, unbiased=True)

SAME = ("classifier.", "classifier.")
BASE = Wrapper("the network without a classifier", (("efficientnet.", ""), ("resnet.", "")))
TOWER = Wrapper("the image tower without the rest of CLIP", (("vision_model.", ""),))
CLASSIFIERS = tuple(
    Wrapper(f"the network below {name}., with a classifier", (SAME, ("", f"{name}.")))
    for name in ("dinov2", "dinov2_with_registers")
)


def _efficientnet(name: str) -> Network:
    # The blocks that transformers pads in another way are those with an odd map at this size.
    convention = Convention("static", TRAINED_BN, size=SIZES[name])
    return Network(TABLES["efficientnet"], {"static": convention})


TRANSFORMERS = Origin(
    "transformers",
    {
        **{name: _efficientnet(name) for name in B_NETS},
        **{
            name: Network(TABLES["resnet"], {"symmetric": Convention("symmetric", TORCH_BN)})
            for name in RESNETS
        },
        **VITS,
    },
    (PLAIN, BASE, TOWER, *CLASSIFIERS),
)
