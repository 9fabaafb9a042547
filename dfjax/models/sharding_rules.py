"""Which dimension of which parameter a mesh splits, per model: (pattern of the path, spec).

Kernels are split by input channel over `fsdp` and by output channel over `tensor`, and with them
their optimiser state; a parameter that no rule names is small and is replicated on every device.
The first rule that matches applies. The split is one of storage: `training.sharding.gather_params`
says how steps compute.
"""

from jax.sharding import PartitionSpec as P

from dfjax.models.entry import Rules

KERNEL = P("fsdp", "tensor")  # the last dimensions of every kernel are its inputs and outputs

BACKBONE = "((expand|project|top|shortcut)_conv|block[0-9]+/conv[0-9]+|pointwise)/kernel$"  # of any
FLOW_CNN = "flow_cnn/conv[2-9]/kernel$"
CONV_LSTM = "conv_lstm[0-9]+/(kernel|recurrent)$"
DENSE = "(projection|hidden[0-9]*|gate)/kernel$"
RECURRENT = "layer[0-9]+_[a-z]+/(kernel|recurrent)$"
ENCODER = "(attention/(query|key|value|output)|layer[0-9]+/output)/kernel$"
HEAD: Rules = (("(hidden[0-9]*|logits)/kernel$", P("fsdp", None)),)  # nothing divides two classes


def _kernels(*patterns: str) -> Rules:
    """One rule for all patterns, because every rule must match and options leave parts out."""
    return (("|".join(patterns), KERNEL),)


CLIP_DETECTOR = _kernels(BACKBONE, RECURRENT, ENCODER, DENSE)
DUAL_STREAM = _kernels(BACKBONE, FLOW_CNN, CONV_LSTM, DENSE)
FRAME_CLASSIFIER = (*_kernels(BACKBONE), *HEAD)
TWO_STREAM = _kernels(BACKBONE, FLOW_CNN, CONV_LSTM, DENSE)
