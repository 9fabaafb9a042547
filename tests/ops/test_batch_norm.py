"""Batch normalisation with its own gradient, against automatic differentiation of the formula."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.ops.activations import silu_by_tanh
from dfjax.ops.batch_norm import batch_norm, normalise

EPSILON = 1e-3
ACTIVATIONS = [None, jax.nn.relu, jax.nn.relu6, jax.nn.silu, silu_by_tanh]
NAMES = ["none", "relu", "relu6", "silu", "tanh"]
MASK = jnp.array([True, False, True, True])


def formula(x, scale, bias, mask, activation):
    """The same values as `batch_norm`, which automatic differentiation goes through."""
    wide = x.astype(jnp.float32)
    mask = jnp.ones(len(x), bool) if mask is None else mask
    weight = jnp.broadcast_to(mask.reshape(-1, *[1] * (x.ndim - 1)), x.shape).astype(jnp.float32)
    axes = tuple(range(x.ndim - 1))
    count = jnp.maximum(weight.sum(axes), 1)
    mean = (weight * wide).sum(axes) / count
    var = jnp.maximum((weight * wide * wide).sum(axes) / count - mean * mean, 0)
    y = (wide - mean) / jnp.sqrt(var + EPSILON) * scale + bias
    return (activation(y) if activation else y).astype(x.dtype), mean, var


def draw(shape, dtype=jnp.float32):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(1, 2, size=shape), dtype)
    scale, bias = (jnp.asarray(rng.normal(size=shape[-1:]), jnp.float32) for _ in range(2))
    cotangents = [
        jnp.asarray(rng.normal(size=s), jnp.float32) for s in (shape, shape[-1:], shape[-1:])
    ]
    return x, scale, bias, [cotangents[0].astype(dtype), *cotangents[1:]]


def assert_equal(found, expected, relative):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        a, b = np.float32(a), np.float32(b)
        np.testing.assert_allclose(a, b, rtol=0, atol=relative * max(1, np.abs(b).max()))


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=NAMES)
@pytest.mark.parametrize("mask", [None, MASK, ~MASK & MASK], ids=["all", "masked", "no sample"])
@pytest.mark.parametrize("shape", [(4, 5, 3, 6), (4, 6)], ids=str)
def test_values_and_gradients_are_those_of_the_formula(activation, mask, shape):
    x, scale, bias, cotangents = draw(shape)

    @jax.jit
    def both(x, scale, bias, cotangents):
        def ours(x, scale, bias):
            return batch_norm(x, scale, bias, mask, epsilon=EPSILON, activation=activation)[:3]

        def plain(x, scale, bias):
            return formula(x, scale, bias, mask, activation)

        results = []
        for function in (ours, plain):
            y, pull = jax.vjp(function, x, scale, bias)
            # With and without gradients of the statistics themselves.
            alone = pull((cotangents[0], *map(jnp.zeros_like, cotangents[1:])))
            results.append((y, pull(tuple(cotangents)), alone))
        return results

    assert_equal(*both(x, scale, bias, cotangents), 2e-6)


def test_a_constant_channel_has_a_finite_gradient():
    x, scale, bias, (cotangent, *_) = draw((4, 3, 3, 2))
    x = x.at[..., 0].set(0.1)  # E[x²] - E[x]² is a rounding error, of either sign

    @jax.jit
    def gradient(x):
        return jax.vjp(lambda x: batch_norm(x, scale, bias, epsilon=EPSILON)[0], x)[1](cotangent)

    (found,) = gradient(x)
    factor = np.float32(scale[0] / np.sqrt(EPSILON))
    expected = factor * (cotangent[..., 0] - cotangent[..., 0].mean())
    np.testing.assert_allclose(found[..., 0], expected, atol=1e-4 * np.abs(expected).max())


def test_bfloat16_maps_have_float32_statistics():
    x, scale, bias, cotangents = draw((4, 5, 3, 6), jnp.bfloat16)

    @functools.partial(jax.jit, static_argnums=0)
    def run(function):
        y, pull = jax.vjp(function, x, scale, bias)
        return y, pull(tuple(cotangents))

    ours = run(lambda *a: batch_norm(*a, MASK, epsilon=EPSILON, activation=jax.nn.silu)[:3])
    plain = run(lambda *a: formula(*a, MASK, jax.nn.silu))
    assert_equal(ours[0][1:], plain[0][1:], 2e-6)
    assert_equal(ours, plain, 2**-8)  # one rounding to bfloat16


def test_fixed_statistics_can_be_differentiated_forwards():
    x, scale, bias, (tangent, *_) = draw((4, 5, 3, 6))
    mean, var = jnp.ones(6), jnp.full(6, 2.0)

    def run(x):
        return normalise(x, mean, var, scale, bias, epsilon=EPSILON, activation=jax.nn.silu)

    @jax.jit
    def products():
        forwards, (backwards,) = jax.jvp(run, (x,), (tangent,))[1], jax.vjp(run, x)[1](x)
        return jnp.vdot(forwards, x), jnp.vdot(backwards, tangent)

    np.testing.assert_allclose(*products(), rtol=1e-4)


def test_silu_by_tanh_is_silu():
    x = jnp.linspace(-30, 30, 601)
    value, slope = (jax.vmap(f)(x) for f in (silu_by_tanh, jax.grad(silu_by_tanh)))
    np.testing.assert_allclose(value, jax.nn.silu(x), rtol=0, atol=2e-6)
    np.testing.assert_allclose(slope, jax.vmap(jax.grad(jax.nn.silu))(x), rtol=0, atol=2e-6)
