"""Names of efficientnet_pytorch by Luke Melas-Kyriazi, and of its Lite variants."""

from dfjax.models.layers import BNConstants
from dfjax.weights.convention import HALF, IMAGENET_MEAN, IMAGENET_STD, ONE, ZERO, Convention
from dfjax.weights.key_table import TORCH, Table
from dfjax.weights.origin import B_NETS, LITE_NETS, PLAIN, SIZES, Network, Origin, Wrapper

EFFICIENTNET = {
    "stem_conv": "_conv_stem",
    "stem_bn": "_bn0",
    "mbconv.expand_conv": "_blocks.{n_0}._expand_conv",
    "mbconv.expand_bn": "_blocks.{n_0}._bn0",
    "mbconv.depthwise_conv": "_blocks.{n_0}._depthwise_conv",
    "mbconv.depthwise_bn": "_blocks.{n_0}._bn1",
    "mbconv.se.reduce": "_blocks.{n_0}._se_reduce",
    "mbconv.se.expand": "_blocks.{n_0}._se_expand",
    "mbconv.project_conv": "_blocks.{n_0}._project_conv",
    "mbconv.project_bn": "_blocks.{n_0}._bn2",
}
WITHOUT_EXPANSION = {key.replace("mbconv.", "mbconv1."): name for key, name in EFFICIENTNET.items()}
TOP = {"top_conv": "_conv_head", "top_bn": "_bn1", "logits": "_fc"}

TABLES = {"efficientnet": Table(TORCH, EFFICIENTNET | WITHOUT_EXPANSION | TOP, ("_fc.",))}

BN = BNConstants(epsilon=1e-3, momentum=0.99, unbiased=True)


def _network(name: str) -> Network:
    mean, std = (HALF, HALF) if name in LITE_NETS else (IMAGENET_MEAN, IMAGENET_STD)
    convention = Convention("static", BN, mean, std, SIZES[name])
    return Network(TABLES["efficientnet"], {"static": convention})


SBI = Wrapper("SBI", (("", "net."),), {"mean": ZERO, "std": ONE, "size": 380})
ISPL = Wrapper("ISPL", (("_fc.", "classifier."), ("", "efficientnet.")), {"size": 224})

EFFICIENTNET_PYTORCH = Origin(
    "efficientnet_pytorch",
    {name: _network(name) for name in (*B_NETS, *LITE_NETS)},
    (PLAIN, SBI, ISPL),
)
