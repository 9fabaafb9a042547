"""Convolutional LSTM (Shi et al., 2015) over the feature maps of a clip."""

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
    """One ConvLSTM layer with the gate order input, forget, candidate, output and one bias each.

    The convolution of the input is not recurrent, so it runs once over all B*T maps. Only the
    convolution of the state is inside the `lax.scan`. The scan uses explicit parameters, because
    Flax's lifted transforms do not export.

    Attributes:
        features: Number of channels of the state.
        kernel_size: Side of both kernels, which have SAME padding.
        reverse: Whether the clip is read from its end.
        remat: Whether the backward pass recomputes the gates instead of keeping those of all
            frames.
        compute: Dtype and lowering. The cell state is float32.
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
        """Returns the hidden state after every frame.

        A frame outside the mask does not change the state. The last entry along T is therefore the
        state after the last valid frame. With `reverse`, the first entry is the state after the
        first valid frame, which is read last.

        Args:
            x: Feature maps, finite everywhere.
            mask: Which frames are valid, or None for all.
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
    """Stacked `ConvLSTM` layers (`layer1_forward`, …) whose states are averaged over the map.

    Attributes:
        features: Number of channels of the state of one direction.
        layers: Number of layers; each reads the states of the previous one.
        bidirectional: Whether the clip is read in both directions. Their states are concatenated.
        dropout: Dropout rate between layers.
        remat: Whether the backward pass recomputes the gates (see `ConvLSTM`).
        compute: Dtype and lowering.
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
        """Returns the states of the last layer for every frame, zeros outside the mask.

        Args:
            x: Feature maps, finite also where the mask is False.
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
        return jnp.where(mask[..., None], jnp.mean(x.astype(jnp.float32), axis=(2, 3)), 0)

    def _layer(self, name: str, *, reverse: bool) -> ConvLSTM:
        return ConvLSTM(
            self.features, reverse=reverse, remat=self.remat, compute=self.compute, name=name
        )


def _gates(z: Array, cell: Array) -> tuple[Array, Array]:
    i, f, g, o = jnp.split(z, 4, axis=-1)
    cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(cell), cell
