"""`Program`: a trained network as one function of named arrays, which formats write to files."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
from jaxtyping import Array

from dfjax.shapes import Variables
from dfjax.weights.rounding import FLOAT32, round_variables

FAKE_PROB, RESTORED = "fake_prob", "restored"
"""Names of the output of a detector and of a generator."""

Apply = Callable[[Variables, Mapping[str, Array]], Array]


@dataclasses.dataclass(frozen=True)
class Program:
    """A trained network with its preprocessing.

    Attributes:
        apply: Pure function `apply(variables, inputs) -> output` of a batch, whose size is not
            fixed.
        variables: Its parameters and statistics.
        inputs: Shape and dtype of every input for one clip, by name, in order.
        output: Name of the output, `FAKE_PROB` or `RESTORED`.
        metadata: Entries of the header of a file, with values that can be stored as JSON.
        kernels: How formats store the kernels, one of `weights.rounding.KINDS`; those in
            `variables` are rounded already.
        on_cpu: The same function as detectors run it on a CPU, for formats that can hold one
            function per platform; None for `apply`.
    """

    apply: Apply
    variables: Variables
    inputs: Mapping[str, jax.ShapeDtypeStruct]
    output: str
    metadata: Mapping[str, Any]
    kernels: str = FLOAT32
    on_cpu: Apply | None = None

    def call(self, variables: Variables, *arrays: Array) -> Array:
        """Returns the output for the arrays of a batch, in the order of `inputs`."""
        return self.apply(variables, dict(zip(self.inputs, arrays, strict=True)))

    def call_on_cpu(self, variables: Variables, *arrays: Array) -> Array:
        """Returns what `call` returns, by the function for a CPU."""
        return dataclasses.replace(self, apply=self.on_cpu or self.apply).call(variables, *arrays)

    def round(self, kernels: str) -> "Program":
        """Returns the program with rounded kernels, which formats store so.

        Args:
            kernels: One of `weights.rounding.KINDS`.
        """
        rounded = round_variables(jax.device_get(self.variables), kernels)
        variables = jax.tree.map(jax.numpy.asarray, rounded)
        return dataclasses.replace(self, variables=variables, kernels=kernels)

    def shapes(self, batch: Any) -> list[jax.ShapeDtypeStruct]:
        """Returns the shapes of the inputs for a batch of `batch` clips, a number or a symbol."""
        return [jax.ShapeDtypeStruct((batch, *x.shape), x.dtype) for x in self.inputs.values()]


def symbolic_batch() -> Any:
    """Returns the symbol `B` that stands for the number of clips while a program is traced."""
    return jax.export.symbolic_shape("B")[0]
