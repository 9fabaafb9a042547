"""LSTM and GRU over the features of a clip, with torch's gates and biases.

The scans use explicit parameters, because Flax's lifted transforms do not export. The product of
the input is not recurrent, so it is one matrix product over all frames; only the product of the
state is inside the scan. Products are computed in the dtype of the module. Their sums, the gates
and the state are float32.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from dfjax.errors import UsageError, unknown
from dfjax.models.initializers import GLOROT, forget_open
from dfjax.models.layers import Compute, Dropout

CELLS = ("lstm", "gru")
LAYER_NORM_EPSILON = 1e-5

Step = Callable[[tuple[Array, ...], Array], tuple[Array, ...]]
"""`step(state, drive) -> state`: f32[B,H] each, the hidden state first; `drive f32[B,gates*H]`."""


class LSTM(nn.Module):
    """One LSTM layer in one direction (Hochreiter and Schmidhuber, 1997).

    The gates are in the order input, forget, candidate, output.

    Attributes:
        features: Width of the state.
        reverse: Whether the clip is read from its end.
        layer_norm: Whether the products of the input and of the state (each over all gates) and
            the cell state before the output gate are layer-normalised (Ba et al., 2016). The
            offsets of the products are the layer's two biases.
        peephole: Whether the gates have peephole connections (Gers and Schmidhuber, 2000): the
            input and forget gates from the previous cell state, the output gate from the new one.
        compute: Dtype of the products.
    """

    features: int
    reverse: bool = False
    layer_norm: bool = False
    peephole: bool = False
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: Float[Array, "B T I"], mask: Bool[Array, "B T"]) -> Float[Array, "B T H"]:
        """Returns the state after every frame; a masked frame leaves it as it was."""
        size, dtype = self.features, self.compute.dtype
        kernel = self.param("kernel", GLOROT, (x.shape[-1], 4 * size), jnp.float32)
        recurrent = self.param("recurrent", GLOROT, (size, 4 * size), jnp.float32)
        bias = self.param("bias", forget_open, (4 * size,), jnp.float32)
        recurrent_bias = self._vector("recurrent_bias", 4, 0)
        of_input, of_state, of_cell = self._norms()
        peep_i, peep_f, peep_o = self._peepholes()
        driven = of_input(_product(x, kernel, dtype)) + bias + recurrent_bias

        def step(state: tuple[Array, ...], drive: Array) -> tuple[Array, ...]:
            hidden, cell = state
            z = drive + of_state(_product(hidden, recurrent, dtype))
            i, f, g, o = jnp.split(z, 4, axis=-1)
            i, f = jax.nn.sigmoid(i + peep_i * cell), jax.nn.sigmoid(f + peep_f * cell)
            cell = f * cell + i * jnp.tanh(g)
            return jax.nn.sigmoid(o + peep_o * cell) * jnp.tanh(of_cell(cell)), cell

        return _scan(step, driven, mask, (size, size), reverse=self.reverse)

    def _vector(self, name: str, gates: int, value: int) -> Array:
        init = nn.initializers.constant(value)
        return self.param(name, init, (gates * self.features,), jnp.float32)

    def _peepholes(self) -> tuple[Array, ...]:
        """Returns the peephole weights of the input, forget and output gate, initially zero."""
        if not self.peephole:
            return (jnp.zeros(self.features),) * 3
        return tuple(self._vector(f"peephole_{gate}", 1, 0) for gate in ("i", "f", "o"))

    def _norms(self) -> tuple[Callable[[Array], Array], ...]:
        """Returns the normalisations of the input's product, the state's product and the cell."""
        if not self.layer_norm:
            return (lambda x: x,) * 3
        of_input, of_state, of_cell = (
            self._vector(f"{name}_scale", gates, 1)
            for name, gates in (("kernel", 4), ("recurrent", 4), ("cell", 1))
        )
        offset = self._vector("cell_bias", 1, 0)
        return (
            lambda x: of_input * _normalised(x),
            lambda x: of_state * _normalised(x),
            lambda x: of_cell * _normalised(x) + offset,
        )


class GRU(nn.Module):
    """One GRU layer in one direction (Cho et al., 2014).

    The gates are in the order reset, update, candidate. As in torch and cuDNN, the reset gate
    multiplies the product of the state including its bias.

    Attributes:
        features: Width of the state.
        reverse: Whether the clip is read from its end.
        compute: Dtype of the products.
    """

    features: int
    reverse: bool = False
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: Float[Array, "B T I"], mask: Bool[Array, "B T"]) -> Float[Array, "B T H"]:
        """Returns the state after every frame; a masked frame leaves it as it was."""
        size, dtype = self.features, self.compute.dtype
        kernel = self.param("kernel", GLOROT, (x.shape[-1], 3 * size), jnp.float32)
        recurrent = self.param("recurrent", GLOROT, (size, 3 * size), jnp.float32)
        bias, recurrent_bias = (
            self.param(name, nn.initializers.zeros, (3 * size,), jnp.float32)
            for name in ("bias", "recurrent_bias")
        )
        driven = _product(x, kernel, dtype) + bias

        def step(state: tuple[Array, ...], drive: Array) -> tuple[Array, ...]:
            (hidden,) = state
            z = _product(hidden, recurrent, dtype) + recurrent_bias
            (r, u, n), (zr, zu, zn) = (jnp.split(part, 3, axis=-1) for part in (drive, z))
            u = jax.nn.sigmoid(u + zu)
            n = jnp.tanh(n + jax.nn.sigmoid(r + zr) * zn)
            return ((1 - u) * n + u * hidden,)

        return _scan(step, driven, mask, (size,), reverse=self.reverse)


def run_layers(
    make_layer: Callable[..., Any],
    x: Float[Array, "B T *i"],
    mask: Bool[Array, "B T"],
    *,
    layers: int,
    bidirectional: bool,
    dropout: float,
    train: bool,
) -> Float[Array, "B T *o"]:
    """Returns the states of the last layer; those of both directions are concatenated.

    Args:
        make_layer: Function `(name, reverse=…)` that returns one layer in one direction. Names are
            `layer1_forward`, `layer1_backward`, ….
        x: Vectors or maps of all frames.
        mask: Which frames are valid.
        layers: Number of layers; each reads the states of the previous one.
        bidirectional: Whether the clip is read in both directions.
        dropout: Dropout rate between layers.
        train: Whether dropout is active.
    """
    for number in range(1, layers + 1):
        if number > 1:
            x = Dropout(dropout, name=f"dropout{number}")(x, train=train)
        states = [make_layer(f"layer{number}_forward", reverse=False)(x, mask)]
        if bidirectional:
            states.append(make_layer(f"layer{number}_backward", reverse=True)(x, mask))
        x = jnp.concatenate(states, axis=-1)
    return x


class Recurrent(nn.Module):
    """Stacked layers of `LSTM` or `GRU`, called `layer1_forward`, `layer1_backward`, ….

    Attributes:
        cell: Kind of the layers, a name in CELLS.
        features: Width of the state of one direction.
        layers: Number of layers; each reads the states of the previous one.
        bidirectional: Whether the clip is read in both directions. Their states are concatenated.
        layer_norm: Whether LSTM layers are layer-normalised (see `LSTM`).
        peephole: Whether LSTM layers have peephole connections (see `LSTM`).
        dropout: Dropout rate between layers.
        compute: Dtype of the products.
    """

    cell: str
    features: int
    layers: int = 1
    bidirectional: bool = True
    layer_norm: bool = False
    peephole: bool = False
    dropout: float = 0.0
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T I"], mask: Bool[Array, "B T"], *, train: bool
    ) -> Float[Array, "B T O"]:
        """Returns the states of the last layer, O = H or 2 H, and zeros outside the mask.

        Args:
            x: Features, finite also where the mask is False.
            mask: Which frames are valid; both directions skip the others.
            train: Whether dropout is active.
        """
        x = run_layers(
            self._layer,
            x,
            mask,
            layers=self.layers,
            bidirectional=self.bidirectional,
            dropout=self.dropout,
            train=train,
        )
        return jnp.where(mask[..., None], x, 0)

    def _layer(self, name: str, *, reverse: bool) -> nn.Module:
        if self.cell == "gru":
            return GRU(self.features, reverse, self.compute, name=name)
        return LSTM(self.features, reverse, self.layer_norm, self.peephole, self.compute, name=name)


def check_cell(cell: str, *, layer_norm: bool, peephole: bool) -> None:
    """Checks that a cell exists and has the requested variants.

    Raises:
        UsageError: The cell is unknown, or it is a GRU with a variant that only the LSTM has.
    """
    if cell not in CELLS:
        raise unknown("cell", cell, CELLS)
    if cell == "gru" and (layer_norm or peephole):
        raise UsageError("layer_norm and peephole are variants of the LSTM; a GRU has neither")


def _product(x: Array, kernel: Array, dtype: DTypeLike) -> Array:
    return jnp.matmul(x.astype(dtype), kernel.astype(dtype), preferred_element_type=jnp.float32)


def _scan(
    step: Step, driven: Array, mask: Array, sizes: tuple[int, ...], *, reverse: bool
) -> Array:
    """Returns the hidden state after every frame, in the order of the clip."""

    def body(state: tuple[Array, ...], frame: tuple[Array, Array]) -> tuple[Any, Array]:
        drive, valid = frame
        state = tuple(jnp.where(valid, new, old) for new, old in zip(step(state, drive), state))
        return state, state[0]

    start = tuple(jnp.zeros((driven.shape[0], size), jnp.float32) for size in sizes)
    frames = (driven.swapaxes(0, 1), mask.swapaxes(0, 1)[..., None])  # time first
    _, states = lax.scan(body, start, frames, reverse=reverse)
    return states.swapaxes(0, 1)


def _normalised(x: Array) -> Array:
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(centred * centred, axis=-1, keepdims=True)
    return centred * lax.rsqrt(variance + LAYER_NORM_EPSILON)
