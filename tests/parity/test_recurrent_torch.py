"""LSTM and GRU against torch: two layers, both directions, clips of different lengths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from dfjax.models.recurrent import Recurrent

pytestmark = pytest.mark.parity

LENGTHS = [5, 2, 4]
X = jax.random.normal(jax.random.key(0), (3, 5, 7))
MASK = jnp.arange(5) < jnp.array(LENGTHS)[:, None]
NAMES = {"kernel": "weight_ih", "recurrent": "weight_hh", "bias": "bias_ih"}
NAMES |= {"recurrent_bias": "bias_hh"}


def our_params(layer, value=lambda tensor: tensor):
    """The parameters of a torch layer, or what `value` makes of them, as ours."""
    tensors = dict(layer.named_parameters())
    return {
        f"layer{number + 1}_{direction}": {
            ours: jnp.array(value(tensors[f"{theirs}_l{number}{suffix}"]).detach().numpy().T)
            for ours, theirs in NAMES.items()
        }
        for number in range(layer.num_layers)
        for direction, suffix in (("forward", ""), ("backward", "_reverse"))
    }


def make(cell):
    torch.manual_seed(0)
    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell]
    theirs = kind(7, 6, num_layers=2, bidirectional=True, batch_first=True)
    return theirs, Recurrent(cell, 6, layers=2)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_states_and_gradients(cell):
    theirs, ours = make(cell)
    x = torch.tensor(np.array(X), requires_grad=True)
    expected, _ = theirs(x)
    expected.square().sum().backward()
    params = our_params(theirs)
    assert jax.tree.map(np.shape, params) == jax.tree.map(
        np.shape, ours.init(jax.random.key(0), X, MASK, train=False)["params"]
    )

    def loss(params, x):
        states = ours.apply({"params": params}, x, jnp.ones((3, 5), bool), train=False)
        return jnp.sum(states**2), states

    gradients, states = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))(params, X)
    np.testing.assert_allclose(states, expected.detach().numpy(), rtol=0, atol=1e-5)
    wanted = (our_params(theirs, lambda tensor: tensor.grad), x.grad.numpy())
    jax.tree.map(
        lambda a, e: np.testing.assert_allclose(a, e, rtol=0, atol=1e-5 * np.abs(e).max()),
        gradients,
        wanted,
    )


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_padding_is_what_packing_leaves_out(cell):
    theirs, ours = make(cell)
    packed = pack_padded_sequence(
        torch.tensor(np.array(X)), LENGTHS, batch_first=True, enforce_sorted=False
    )
    expected, _ = pad_packed_sequence(theirs(packed)[0], batch_first=True)
    states = ours.apply({"params": our_params(theirs)}, X, MASK, train=False)
    np.testing.assert_allclose(states, expected.detach().numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_frames_may_be_missing_anywhere(cell):
    """Clips centred in their padding have the states of the same frames without it."""
    theirs, ours = make(cell)
    mask = np.array([[False, True, True, False, True]] * 3)
    expected, _ = theirs(torch.tensor(np.array(X)[mask].reshape(3, 3, 7)))
    states = ours.apply({"params": our_params(theirs)}, X, jnp.array(mask), train=False)
    got = np.asarray(states)[mask].reshape(3, 3, 12)
    np.testing.assert_allclose(got, expected.detach().numpy(), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(states)[~mask], 0)
