"""Penalties of `svd` adapters (Yan et al., 2025), which the model computes from its parameters."""

from jaxtyping import Array, Float

from dfjax.errors import UsageError
from dfjax.shapes import Batch, Logits, Outputs


def orthogonality(logits: Logits, outputs: Outputs, batch: Batch) -> Float[Array, "B"]:
    """Returns how far the singular vectors of the adapted kernels are from orthonormal ones.

    Raises:
        UsageError: The model has no `svd` adapters.
    """
    del logits, batch
    return _read("orthogonality", outputs)


def singular_values(logits: Logits, outputs: Outputs, batch: Batch) -> Float[Array, "B"]:
    """Returns how much the sum of the squared singular values of adapted kernels has changed.

    Raises:
        UsageError: The model has no `svd` adapters.
    """
    del logits, batch
    return _read("singular_values", outputs)


def _read(name: str, outputs: Outputs) -> Float[Array, "B"]:
    if name not in outputs:
        raise UsageError(f"loss.{name} is of adapter.name=svd: set loss.{name}=0")
    return outputs[name]
