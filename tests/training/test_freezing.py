import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.errors import UsageError
from dfjax.training.freezing import freeze_apply

VARIABLES = {
    "params": {"base": {"kernel": jnp.eye(3) * 2}, "head": {"kernel": jnp.ones((3, 1))}},
    "batch_stats": {},
}
INPUTS = {"x": jnp.arange(6.0).reshape(2, 3)}


def apply(variables, inputs, *, train, rngs):
    params = variables["params"]
    hidden = inputs["x"] @ params["base"]["kernel"]
    return (hidden @ params["head"]["kernel"])[:, 0], {}, variables["batch_stats"]


def gradients(*patterns):
    frozen = freeze_apply(apply, patterns)

    def loss(params):
        return frozen(VARIABLES | {"params": params}, INPUTS, train=True, rngs=None)[0].sum()

    return jax.value_and_grad(loss)


def test_frozen_parameters_have_no_gradient_and_the_others_theirs():
    whole, full = gradients()(VARIABLES["params"])
    same, found = gradients("^base/")(VARIABLES["params"])
    assert same == whole
    assert not found["base"]["kernel"].any() and full["base"]["kernel"].any()
    np.testing.assert_array_equal(found["head"]["kernel"], full["head"]["kernel"])


def test_what_leads_to_frozen_parameters_only_is_not_computed():
    products = [
        str(jax.jit(gradients(*patterns)).lower(VARIABLES["params"]).compile().as_text())
        .count(" dot(")
        for patterns in ((), ("^base/",))
    ]  # fmt: skip
    # forward 2; backward: one for the head's kernel, and two that lead through the base's
    assert products[1] < products[0]


def test_a_pattern_that_matches_nothing_is_an_error():
    with pytest.raises(UsageError, match="'bsae' matches no parameter"):
        gradients("bsae")(VARIABLES["params"])
