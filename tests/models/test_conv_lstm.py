import jax
import jax.numpy as jnp
import numpy as np

from dfjax.models.conv_lstm import ConvLSTM, ConvRecurrent

X = jax.random.normal(jax.random.key(0), (2, 4, 3, 3, 5))


def make(**options):
    layer = ConvLSTM(4, **options)
    return layer, layer.init(jax.random.key(1), X)


def test_one_step_by_hand():
    # no weights: only the biases drive the gates, i = f = o = sigmoid, g = tanh
    layer, variables = make()
    zero = jax.tree.map(jnp.zeros_like, variables)
    bias = jnp.repeat(jnp.array([0.5, 1.0, -0.25, 2.0]), 4)
    zero["params"]["bias"] = bias
    states = layer.apply(zero, X)
    cell = hidden = 0.0
    for t in range(4):
        i, f, o = (1 / (1 + np.exp(-v)) for v in (0.5, 1.0, 2.0))
        cell = f * cell + i * np.tanh(-0.25)
        hidden = o * np.tanh(cell)
        np.testing.assert_allclose(states[:, t], hidden, rtol=1e-5)


def test_forget_gate_starts_open():
    _, variables = make()
    np.testing.assert_array_equal(
        variables["params"]["bias"], np.repeat(np.float32([0, 1, 0, 0]), 4)
    )


def test_masked_frames_leave_the_state_as_if_they_were_not_there():
    layer, variables = make()
    mask = jnp.array([[True, False, True, False]] * 2)
    states = layer.apply(variables, X, mask)
    without = layer.apply(variables, X[:, ::2])
    np.testing.assert_allclose(states[:, -1], without[:, -1], atol=1e-6)
    np.testing.assert_array_equal(states[:, 0], states[:, 1])


def test_remat_changes_memory_not_numbers():
    plain, variables = make()
    remat, _ = make(remat=True)

    def gradient(layer):
        return jax.jit(jax.grad(lambda v: jnp.sum(layer.apply(v, X) ** 2)))(variables)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), gradient(plain), gradient(remat)
    )


def test_depends_on_the_order_of_frames():
    layer, variables = make()
    assert not np.allclose(
        layer.apply(variables, X)[:, -1], layer.apply(variables, X[:, ::-1])[:, -1]
    )


def test_in_reverse_it_reads_the_clip_from_its_end():
    layer, variables = make(reverse=True)
    mask = jnp.array([[True, True, True, False], [False, True, True, True]])
    states = layer.apply(variables, X, mask)
    forward, _ = make()
    turned = forward.apply(variables, X[:, ::-1], mask[:, ::-1])[:, ::-1]
    np.testing.assert_array_equal(states, turned)


def test_layers_in_both_directions_are_averaged_over_the_map():
    mask = jnp.array([[True, True, True, False], [False, True, True, True]])
    stack = ConvRecurrent(4, layers=2)
    variables = stack.init(jax.random.key(1), X, mask, train=False)
    states = stack.apply(variables, X, mask, train=False)
    assert states.shape == (2, 4, 8)
    np.testing.assert_array_equal(states[~np.asarray(mask)], 0)
    x = X
    for number in (1, 2):
        directions = [
            ConvLSTM(4, reverse=name == "backward").apply(
                {"params": variables["params"][f"layer{number}_{name}"]}, x, mask
            )
            for name in ("forward", "backward")
        ]
        x = jnp.concatenate(directions, axis=-1)
    np.testing.assert_allclose(states[mask], x.mean((2, 3))[mask], atol=1e-6)
