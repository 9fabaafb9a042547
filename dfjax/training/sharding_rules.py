"""Which dimension of which parameter a mesh splits, per model: (pattern of the path, spec).

Kernels are split by input channel over `fsdp` and by output channel over `tensor`, and with them
their optimiser state; what no rule names is small and stays whole on every device. The first
matching rule counts. Splitting is storage: `sharding.gather_params` says how steps compute.
"""

from collections.abc import Sequence

from jax.sharding import PartitionSpec as P

Rules = Sequence[tuple[str, P]]

CONV = P(None, None, "fsdp", "tensor")
EFFICIENTNET: Rules = (("((expand|project|top)_conv|flow_cnn/conv[2-9])/kernel$", CONV),)
RESNET: Rules = (("(block[0-9]+/(shortcut_)?conv[0-9]*|flow_cnn/conv[2-9])/kernel$", CONV),)
CONV_LSTM: Rules = (("conv_lstm[0-9]+/(kernel|recurrent)$", CONV),)
DENSE: Rules = (("(projection|hidden[0-9]*)/kernel$", P("fsdp", "tensor")),)
BACKBONE: Rules = (
    ("backbone/.*((expand|project|top|shortcut)_conv|/conv[0-9]+|pointwise)/kernel$", CONV),
)
HEAD: Rules = (("(hidden[0-9]+|logits)/kernel$", P("fsdp")),)  # no width divides two classes

RECURRENT: Rules = (("layer[0-9]+_[a-z]+/(kernel|recurrent)$", P("fsdp", "tensor")),)
ENCODER: Rules = (
    ("attention/(query|key|value|output)/kernel$", P("fsdp", "tensor")),
    ("layer[0-9]+/(hidden|output)/kernel$", P("fsdp", "tensor")),
)

SHARDING_RULES: dict[str, Rules] = {
    "clip_detector": (*BACKBONE, *RECURRENT, *ENCODER, *DENSE),
    "dual_stream": (*EFFICIENTNET, *CONV_LSTM, *DENSE),
    "frame_classifier": (*BACKBONE, *HEAD),
    "two_stream": (*RESNET, *CONV_LSTM, *DENSE),
}
