"""Which dimension of which parameter a mesh splits, per model: (pattern of the path, spec).

Kernels are split by input channel over `fsdp` and by output channel over `tensor`, and with them
their optimiser state; what no rule names is small and stays whole on every device. The first
matching rule counts. Splitting is storage: `sharding.gather_params` says how steps compute.
"""

from collections.abc import Sequence

from jax.sharding import PartitionSpec as P

Rules = Sequence[tuple[str, P]]

CONV = P(None, None, "fsdp", "tensor")
EFFICIENTNET: Rules = (("(expand|project|top)_conv/kernel$", CONV),)
CONV_LSTM: Rules = (("conv_lstm[0-9]+/(kernel|recurrent)$", CONV),)
DENSE: Rules = (("(projection|hidden[0-9]*)/kernel$", P("fsdp", "tensor")),)

SHARDING_RULES: dict[str, Rules] = {"dual_stream": (*EFFICIENTNET, *CONV_LSTM, *DENSE)}
