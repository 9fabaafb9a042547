import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from dfjax.exporting.onnx_file import RULES
from dfjax.exporting.program import symbolic_batch
from dfjax.exporting.simplify import evaluate, trace

X = np.random.default_rng(0).normal(size=(3, 5, 6, 4)).astype(np.float32)


def names(closed):
    return [equation.primitive.name for equation in closed.jaxpr.eqns]


def simplify(function, rules=RULES):
    """Traces a function of images for any number of them, and checks it for three."""
    closed = trace(
        function, [jax.ShapeDtypeStruct((symbolic_batch(), *X.shape[1:]), X.dtype)], rules
    )
    fixed = trace(function, [jax.ShapeDtypeStruct(X.shape, X.dtype)], rules)
    np.testing.assert_allclose(evaluate(fixed, [X], {})[0], function(X), rtol=1e-6, atol=1e-6)
    return closed


def test_calls_are_inlined_and_constants_computed():
    @jax.jit
    def scale(x):
        return jax.nn.relu(x) * jnp.arange(4).sum()

    found = names(simplify(lambda x: jax.checkpoint(scale)(x)))
    assert "jit" not in found and "checkpoint" not in found and "reduce_sum" not in found
    assert found.count("mul") == 1 and "max" in found


def test_what_the_result_does_not_need_is_left_out():
    def function(x):
        jnp.exp(x).sum()
        return x + 1

    assert names(simplify(function)) == ["add"]


@pytest.mark.parametrize(
    "function", [lambda x: x[:, -1], lambda x: x[:, 1:], lambda x: x[:, 0, 2], lambda x: x[..., 1]]
)
def test_constant_indices_become_slices(function):
    assert set(names(simplify(function))) <= {"slice", "squeeze"}


def test_an_index_that_depends_on_the_input_stays_a_gather():
    closed = simplify(lambda x: jnp.take(x, (x[0, 0, 0] > 0).astype(int), axis=1))
    assert "gather" in names(closed)


@pytest.mark.parametrize("window", [(1, 2, 2, 1), (1, 3, 3, 1), (1, 1, 2, 1)])
def test_maxima_are_taken_over_at_most_three_axes(window):
    def function(x):
        return lax.reduce_window(x, -jnp.inf, lax.max, window, (1, 2, 2, 1), "SAME")

    (found,) = [e for e in simplify(function).jaxpr.eqns if e.primitive.name == "reduce_window_max"]
    assert len(found.params["window_dimensions"]) <= 3


@pytest.mark.parametrize(
    "sides", [((0, 0), (1, 2), (0, 3), (0, 0)), ((0, 0), (-1, 1), (2, -2), (0, 0))]
)
def test_padding_and_cropping(sides):
    closed = simplify(lambda x: lax.pad(x, 7.0, [(*side, 0) for side in sides]))
    assert "pad" not in names(closed) and "concatenate" in names(closed)


def test_empty_operands_are_not_concatenated():
    closed = simplify(lambda x: jnp.concatenate([x[:, :0], x, x[:, 5:]], axis=1) + 1)
    assert "concatenate" not in names(closed)


@pytest.mark.parametrize("reverse", [False, True])
def test_scans_run_forwards(reverse):
    def function(x):
        def step(carry, row):
            carry = 0.5 * carry + row[:, -1]
            return carry, carry * 2

        last, rows = lax.scan(step, x[:, 0, 0], x.swapaxes(0, 1), reverse=reverse)
        return rows + last

    (scan,) = [e for e in simplify(function).jaxpr.eqns if e.primitive.name == "scan"]
    assert not scan.params["reverse"]
    assert "gather" not in [e.primitive.name for e in scan.params["jaxpr"].jaxpr.eqns]


def test_padding_between_elements_is_refused():
    with pytest.raises(NotImplementedError, match="between"):
        simplify(lambda x: lax.pad(x, 0.0, [(0, 0, 0), (0, 0, 1), (0, 0, 0), (0, 0, 0)]))
