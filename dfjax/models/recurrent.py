"""LSTM and GRU over the features of a clip, with torch's gates and biases.

The scans are over explicit parameters: lifted transforms do not export. The product of the input
has no recurrence in it, so it is one matrix product over all frames; only that of the state is in
the scan. Products are in the dtype of the module; their sums, the gates and the state are float32.
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
    """One layer in one direction (Hochreiter and Schmidhuber, 1997).

    Gates in the order input, forget, candidate, output.

    Attributes:
        features: width of the state.
        reverse: read the clip from its end.
        layer_norm: normalise the products of input and state, each over all gates, and the cell
            where it is read (Ba et al., 2016); the two biases are the offsets of the former.
        peephole: input and forget gate see the cell before the step, the output gate the one after
            it (Gers and Schmidhuber, 2000).
        compute: dtype of the products.
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
        """Weights of the cell in the input, forget and output gate: zeros at first."""
        if not self.peephole:
            return (jnp.zeros(self.features),) * 3
        return tuple(self._vector(f"peephole_{gate}", 1, 0) for gate in ("i", "f", "o"))

    def _norms(self) -> tuple[Callable[[Array], Array], ...]:
        """What happens to the product of the input, to that of the state, and to the cell."""
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
    """One layer in one direction (Cho et al., 2014), gates in the order reset, update, candidate.

    As in torch and cuDNN the reset gate multiplies the product of the state, bias included.

    Attributes:
        features: width of the state.
        reverse: read the clip from its end.
        compute: dtype of the products.
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
    """Returns the states of the last layer, those of both directions side by side.

    Args:
        make_layer: `(name, reverse=…)` gives one layer in one direction, `layer1_forward`, ….
        x: vectors or maps of all frames.
        mask: frames that are there.
        layers: how many, each over the states of the one below.
        bidirectional: read the clip in both directions.
        dropout: rate between the layers.
        train: mode of dropout.
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
    """Layers of `LSTM` or `GRU`, `layer1_forward`, `layer1_backward`, ….

    Attributes:
        cell: one of CELLS.
        features: width of the state of one direction.
        layers: how many, each over the states of the one below.
        bidirectional: read the clip in both directions; the states stand side by side.
        layer_norm: see `LSTM`.
        peephole: see `LSTM`.
        dropout: rate between the layers.
        compute: dtype of the products.
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
        """Returns the states of the last layer, O = H or 2 H; zeros outside the mask.

        Args:
            x: features, finite also where the mask is False.
            mask: frames that are there; both directions pass over the others.
            train: mode of dropout.
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
    """Checks that there is such a cell, with these variants.

    Raises:
        UsageError: an unknown cell, or a GRU with a variant that only the LSTM has.
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
    """The hidden state after every frame, in the order of the clip."""

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
