"""ConvLSTM against Keras' ConvLSTM2D: states to 1e-5, gradients to 1e-5 of the largest."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.models.conv_lstm import ConvLSTM
from dfjax.models.layers import Compute
from dfjax.ops.lowering import resolve

os.environ["KERAS_BACKEND"] = "jax"
pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("compiled_quickly")]


@pytest.mark.parametrize("lowering", ["native", "matmul"])
@pytest.mark.parametrize("size", [(4, 4), (5, 3)])
def test_equals_keras_with_gradients(size, lowering):
    import keras

    x = jax.random.normal(jax.random.key(0), (2, 3, *size, 6))
    target = jax.random.normal(jax.random.key(1), (2, 3, *size, 5))
    layer = keras.layers.ConvLSTM2D(5, 3, padding="same", return_sequences=True)
    layer.build(x.shape)
    weights = [v.value for v in layer.trainable_variables]
    rest = [v.value for v in layer.non_trainable_variables]

    def keras_loss(weights, x):
        states, _ = layer.stateless_call(weights, rest, x)
        return jnp.sum(states * target), states

    ours = ConvLSTM(5, compute=Compute(lowering=resolve(lowering)))

    def our_loss(weights, x):
        params = dict(zip(("kernel", "recurrent", "bias"), weights, strict=True))
        states = ours.apply({"params": params}, x)
        return jnp.sum(states * target), states

    def with_gradients(loss):
        return jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))(weights, x)

    (_, expected), expected_gradients = with_gradients(keras_loss)
    (_, actual), gradients = with_gradients(our_loss)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)
    for a, e in zip(jax.tree.leaves(gradients), jax.tree.leaves(expected_gradients), strict=True):
        np.testing.assert_allclose(a, e, rtol=0, atol=1e-5 * np.abs(e).max())
