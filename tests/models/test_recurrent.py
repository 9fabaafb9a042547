import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.errors import UsageError
from dfjax.models.layers import Compute
from dfjax.models.recurrent import GRU, LSTM, Recurrent, check_cell

X = jax.random.normal(jax.random.key(0), (2, 4, 3))
MASK = jnp.ones((2, 4), bool)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def random_variables(layer, x=X, mask=MASK, **mode):
    """Parameters of which none is at the special value that it starts at."""
    shapes = jax.eval_shape(lambda: layer.init(jax.random.key(1), x, mask, **mode))
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda s: jnp.array(rng.normal(size=s.shape), jnp.float32), shapes)


def normalised(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("peephole", [False, True])
def test_lstm_variants_by_the_book(layer_norm, peephole):
    layer = LSTM(5, layer_norm=layer_norm, peephole=peephole)
    variables = random_variables(layer)
    states = layer.apply(variables, X, MASK)
    p = jax.tree.map(np.float64, variables["params"])
    x, hidden, cell = np.float64(X), np.zeros((2, 5)), np.zeros((2, 5))
    for t in range(4):
        driven, recurrent, read = x[:, t] @ p["kernel"], hidden @ p["recurrent"], lambda c: c
        if layer_norm:
            driven = p["kernel_scale"] * normalised(driven)
            recurrent = p["recurrent_scale"] * normalised(recurrent)
            read = lambda c: p["cell_scale"] * normalised(c) + p["cell_bias"]  # noqa: E731
        z = driven + p["bias"] + recurrent + p["recurrent_bias"]
        i, f, g, o = np.split(z, 4, axis=-1)
        if peephole:
            i, f = i + p["peephole_i"] * cell, f + p["peephole_f"] * cell
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        if peephole:
            o = o + p["peephole_o"] * cell
        hidden = sigmoid(o) * np.tanh(read(cell))
        np.testing.assert_allclose(states[:, t], hidden, atol=1e-6)


def test_forget_gate_starts_open():
    params = LSTM(2).init(jax.random.key(0), X, MASK)["params"]
    np.testing.assert_array_equal(params["bias"], [0, 0, 1, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(params["recurrent_bias"], 0)


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_reverse_reads_the_clip_from_its_end(kind):
    variables = random_variables(kind(5))
    forward = kind(5).apply(variables, X[:, ::-1], MASK)
    backward = kind(5, reverse=True).apply(variables, X, MASK)
    np.testing.assert_allclose(backward, forward[:, ::-1], atol=1e-6)


@pytest.mark.parametrize(
    "options", [{"cell": "gru"}, {"cell": "lstm", "layer_norm": True, "peephole": True}]
)
def test_every_parameter_has_a_gradient_and_masked_frames_have_none(options):
    layer = Recurrent(features=4, layers=2, **options)
    mask = jnp.array([[True, True, False, True], [False, True, True, False]])
    variables = random_variables(layer, mask=mask, train=False)

    def loss(variables, x):
        return jnp.sum(layer.apply(variables, x, mask, train=False) ** 2)

    gradients, of_x = jax.jit(jax.grad(loss, argnums=(0, 1)))(variables, X)
    assert all(np.all(np.any(g, axis=0)) for g in jax.tree.leaves(gradients))
    np.testing.assert_array_equal(of_x[~mask], 0)
    assert np.all(np.any(of_x[mask], axis=-1))


def test_dropout_is_between_the_layers():
    for layers in (1, 2):
        layer = Recurrent("gru", 4, layers=layers, dropout=0.5)
        variables = random_variables(layer, train=False)

        @jax.jit
        def run(variables, layer=layer):
            rngs = {"dropout": jax.random.key(0)}
            return [
                layer.apply(variables, X, MASK, train=train, rngs=rngs if train else {})
                for train in (True, False)
            ]

        dropped, plain = run(variables)
        assert np.any(dropped != plain) == (layers == 2)


def test_bfloat16_products_and_float32_states():
    plain, half = (Recurrent("gru", 4, compute=Compute(d)) for d in (jnp.float32, jnp.bfloat16))
    variables = random_variables(plain, train=False)
    expected, states = jax.jit(
        lambda v: [layer.apply(v, X, MASK, train=False) for layer in (plain, half)]
    )(variables)
    assert states.dtype == jnp.float32
    # 8 bits of mantissa in the operands of sums of products of values around 1
    np.testing.assert_allclose(states, expected, rtol=0, atol=3e-2)


def test_what_there_is_no_cell_for():
    with pytest.raises(UsageError, match="unknown cell 'rnn'"):
        check_cell("rnn", layer_norm=False, peephole=False)
    with pytest.raises(UsageError, match="variants of the LSTM"):
        check_cell("gru", layer_norm=False, peephole=True)
