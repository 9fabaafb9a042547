import jax
import jax.numpy as jnp
import numpy as np

from dfjax.models.fusion import AttendTo, Join

STATES = jax.random.normal(jax.random.key(0), (2, 3, 8))
FEATURES = jax.random.normal(jax.random.key(1), (2, 3, 4))
MASK = jnp.array([[True, True, True], [True, True, False]])


def test_the_residual_adds_a_projection():
    join = Join("residual")
    variables = join.init(jax.random.key(2), STATES, FEATURES)
    kernel = variables["params"]["projection"]["kernel"]
    np.testing.assert_allclose(
        join.apply(variables, STATES, FEATURES), STATES + FEATURES @ kernel, atol=1e-5
    )


def test_the_gate_goes_from_the_features_to_the_states():
    join = Join("gate")
    params = join.init(jax.random.key(2), STATES, FEATURES)["params"]
    projected = FEATURES @ params["projection"]["kernel"]
    still = {"kernel": jnp.zeros((16, 8))}
    for bias, expected in ((-30.0, projected), (0.0, (STATES + projected) / 2), (30.0, STATES)):
        gate = still | {"bias": jnp.full(8, bias)}
        actual = join.apply({"params": params | {"gate": gate}}, STATES, FEATURES)
        np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_attention_adds_to_the_states_what_it_finds_in_valid_frames():
    for context in (STATES, FEATURES):
        attend = AttendTo(heads=2)
        variables = attend.init(jax.random.key(2), STATES, context, MASK, train=False)
        assert ("context_norm" in variables["params"]) == (context is FEATURES)
        expected = attend.apply(variables, STATES, context, MASK, train=False)
        if context is FEATURES:
            changed = context.at[1, 2].set(9.0)
            actual = attend.apply(variables, STATES, changed, MASK, train=False)
            np.testing.assert_array_equal(actual, expected)
        silent = variables["params"] | {
            "attention": jax.tree.map(jnp.zeros_like, variables["params"]["attention"])
        }
        same = attend.apply({"params": silent}, STATES, context, MASK, train=False)
        np.testing.assert_array_equal(same, STATES)
