"""The sharding rules of the models: pairs (regular expression of the path, partition spec).

Kernels and their optimiser state are split by input channel over `fsdp` and by output channel over
`tensor`. Parameters without a rule are small and are replicated. The first rule that matches
applies. The rules apply to the stored state; steps compute with replicated parameters (see
`training.sharding.gather`).
"""

from jax.sharding import PartitionSpec as P

from dfjax.models.entry import Rules

KERNEL = P("fsdp", "tensor")  # the last two dimensions of a kernel: input and output channels

BACKBONE = (
    "((expand|project|top|shortcut)_conv|block[0-9]+/conv[0-9]+|stage[0-9]+_conv[0-9]+|pointwise)"
    "/kernel$"
)
VIT = "(attention/(query|key|value|output)|mlp/(hidden|gate|output))/kernel$"
FLOW_CNN = "flow_cnn/conv[2-9]/kernel$"
CONV_LSTM = "conv_lstm[0-9]+/(kernel|recurrent)$"
DENSE = "(projection|hidden[0-9]*|gate)/kernel$"
RECURRENT = "layer[0-9]+_[a-z]+/(kernel|recurrent)$"
ENCODER = "(attention/(query|key|value|output)|layer[0-9]+/output)/kernel$"
HEAD: Rules = (("(hidden[0-9]*|logits)/kernel$", P("fsdp", None)),)  # two classes are not split


def _kernels(*patterns: str) -> Rules:
    """Returns one rule for all patterns: options leave out parts, and every rule has to match."""
    return (("|".join(patterns), KERNEL),)


CLIP_DETECTOR = _kernels(BACKBONE, VIT, RECURRENT, ENCODER, DENSE)
DUAL_STREAM = _kernels(BACKBONE, VIT, FLOW_CNN, CONV_LSTM, DENSE)
FRAME_CLASSIFIER = (*_kernels(BACKBONE, VIT), *HEAD)
TWO_STREAM = _kernels(BACKBONE, VIT, FLOW_CNN, CONV_LSTM, DENSE)
# The inner dimensions, three colours and patches, need not be divisible.
VIT_TABLES: Rules = (("(patch_embedding/kernel|positions/embedding)$", P(("fsdp", "tensor"))),)
MESONET = _kernels("(conv[34]|hidden)/kernel$")
UNET = _kernels("(down1/conv2|(down[2-9]|up[1-9])/conv[12])/kernel$", CONV_LSTM)
PATCH_GAN = _kernels("conv[2-9]/kernel$")
