"""The constants of batch normalisation as texts, for the option `bn` of models.

A text is `auto`, for the constants of the architecture's publication, the name of a framework whose
defaults they are (`tf`, `torch`), or the constants: `EPSILON,MOMENTUM,biased` or `…,unbiased`.
"""

from dfjax.errors import UsageError
from dfjax.models.layers import TF_BN, TORCH_BN, BNConstants

AUTO = "auto"
FRAMEWORKS = {"tf": TF_BN, "torch": TORCH_BN}
BIAS = {"biased": False, "unbiased": True}


def parse_bn(text: str) -> BNConstants | None:
    """Returns the constants that a text describes; None for `auto`.

    `momentum` is the decay of the running statistics, 0.9 for torch's default of 0.1.

    Raises:
        UsageError: The text describes no constants.
    """
    if text == AUTO:
        return None
    if text in FRAMEWORKS:
        return FRAMEWORKS[text]
    try:
        epsilon, momentum, bias = text.split(",")
        constants = BNConstants(float(epsilon), float(momentum), BIAS[bias.strip()])
    except (KeyError, ValueError):
        constants = None
    if constants is None or not (0 < constants.epsilon < 1 and 0 <= constants.momentum < 1):
        raise UsageError(
            f"bn must be auto, tf, torch, or EPSILON,MOMENTUM,biased (or unbiased) such as "
            f"0.001,0.99,biased, where MOMENTUM is the decay; not {text!r}"
        )
    return constants


def format_bn(constants: BNConstants) -> str:
    """Returns the text of constants, `0.001,0.99,biased`; the inverse of `parse_bn`."""
    bias = "unbiased" if constants.unbiased else "biased"
    return f"{constants.epsilon!r},{constants.momentum!r},{bias}"
