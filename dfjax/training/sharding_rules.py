"""Which dimension of which parameter a mesh splits, per model: (pattern of the path, spec).

Kernels are split by input channel over `fsdp` and by output channel over `tensor`; what no rule
names is small and stays whole on every device. The first matching rule counts.
"""

from collections.abc import Sequence

from jax.sharding import PartitionSpec as P

Rules = Sequence[tuple[str, P]]

CONV = P(None, None, "fsdp", "tensor")
DENSE = P("fsdp", "tensor")
EFFICIENTNET: Rules = (("(expand|project|top)_conv/kernel$", P(None, None, "fsdp", None)),)

SHARDING_RULES: dict[str, Rules] = {
    "dual_stream": (
        *EFFICIENTNET,
        ("conv_lstm[0-9]+/(kernel|recurrent)$", CONV),
        ("(projection|hidden[0-9]*)/kernel$", DENSE),
    ),
}
