"""Convolutional LSTM (Shi et al., 2015) over the maps of a clip."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Bool, Float

from dfjax.models.initializers import GLOROT, forget_open
from dfjax.models.layers import Compute
from dfjax.models.recurrent import run_layers
from dfjax.ops.conv import conv
from dfjax.ops.padding import same_padding


class ConvLSTM(nn.Module):
    """One layer, gates in the order input, forget, candidate, output, one bias per gate.

    The convolution of the input has no recurrence in it, so it runs once over all B*T maps; only
    that of the state is in the `lax.scan`. The scan is over explicit parameters: lifted transforms
    do not export.

    Attributes:
        features: channels of the state.
        kernel_size: side of both kernels, SAME padding.
        reverse: read the clip from its end.
        remat: recompute the gates in the backward pass instead of keeping them for every frame.
        compute: dtype and lowering; the cell state stays in float32.
    """

    features: int
    kernel_size: int = 3
    reverse: bool = False
    remat: bool = False
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T h w i"], mask: Bool[Array, "B T"] | None = None
    ) -> Float[Array, "B T h w o"]:
        """Returns the hidden state after every frame; a masked frame leaves the state as it was.

        The last entry along T is therefore the state after the last valid frame; in reverse, the
        first one that after the first.
        """
        b, t, h, w, inputs = x.shape
        dtype, lowering = self.compute.dtype, self.compute.lowering
        k, gates = self.kernel_size, 4 * self.features
        kernel = self.param("kernel", GLOROT, (k, k, inputs, gates), jnp.float32)
        recurrent = self.param("recurrent", GLOROT, (k, k, self.features, gates), jnp.float32)
        bias = self.param("bias", forget_open, (gates,), jnp.float32)
        pad = (same_padding(h, k, 1), same_padding(w, k, 1))
        maps = x.astype(dtype).reshape(b * t, h, w, inputs)
        driven = conv(maps, kernel, padding=pad, lowering=lowering)
        driven = (driven + bias.astype(dtype)).reshape(b, t, h, w, gates)
        recurrent = recurrent.astype(dtype)
        if mask is None:
            mask = jnp.ones((b, t), bool)

        def step(state: tuple[Array, Array], frame: tuple[Array, Array]) -> tuple:
            hidden, cell = state
            drive, valid = frame
            z = drive + conv(hidden, recurrent, padding=pad, lowering=lowering)
            new_hidden, new_cell = _gates(z.astype(jnp.float32), cell)
            valid = valid[:, None, None, None]
            hidden = jnp.where(valid, new_hidden.astype(dtype), hidden)
            return (hidden, jnp.where(valid, new_cell, cell)), hidden

        body = jax.checkpoint(step) if self.remat else step
        shape = (b, h, w, self.features)
        start = (jnp.zeros(shape, dtype), jnp.zeros(shape, jnp.float32))
        frames = (driven.swapaxes(0, 1), mask.swapaxes(0, 1))  # time first
        _, states = lax.scan(body, start, frames, reverse=self.reverse)
        return states.swapaxes(0, 1)


class ConvRecurrent(nn.Module):
    """Layers of `ConvLSTM` whose states are averaged over the map: `layer1_forward`, ….

    Attributes:
        features: channels of the state of one direction.
        layers: how many, each over the states of the one below.
        bidirectional: read the clip in both directions; the states stand side by side.
        dropout: rate between the layers.
        remat: see `ConvLSTM`.
        compute: dtype and lowering.
    """

    features: int
    layers: int = 1
    bidirectional: bool = True
    dropout: float = 0.0
    remat: bool = False
    compute: Compute = Compute()

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T h w i"], mask: Bool[Array, "B T"], *, train: bool
    ) -> Float[Array, "B T O"]:
        """Returns the states of the last layer for every frame; zeros outside the mask.

        Args:
            x: maps, finite also where the mask is False.
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
        return jnp.where(mask[..., None], jnp.mean(x.astype(jnp.float32), axis=(2, 3)), 0)

    def _layer(self, name: str, *, reverse: bool) -> ConvLSTM:
        return ConvLSTM(
            self.features, reverse=reverse, remat=self.remat, compute=self.compute, name=name
        )


def _gates(z: Array, cell: Array) -> tuple[Array, Array]:
    i, f, g, o = jnp.split(z, 4, axis=-1)
    cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(cell), cell
