import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.errors import UsageError
from dfjax.training.freezing import stop_gradients

PARAMS = {"base": {"kernel": jnp.eye(3) * 2}, "head": {"kernel": jnp.ones((3, 1))}}
INPUTS = jnp.arange(6.0).reshape(2, 3)


def gradients(*patterns):
    def loss(params):
        params = stop_gradients(params, patterns)
        hidden = INPUTS @ params["base"]["kernel"]
        return (hidden @ params["head"]["kernel"]).sum()

    return jax.value_and_grad(loss)


def test_frozen_parameters_have_no_gradient_and_the_others_theirs():
    whole, full = gradients()(PARAMS)
    same, found = gradients("^base/")(PARAMS)
    assert same == whole
    assert not found["base"]["kernel"].any() and full["base"]["kernel"].any()
    np.testing.assert_array_equal(found["head"]["kernel"], full["head"]["kernel"])


def test_what_leads_to_frozen_parameters_only_is_not_computed():
    products = [
        str(jax.jit(gradients(*patterns)).lower(PARAMS).compile().as_text())
        .count(" dot(")
        for patterns in ((), ("^base/",))
    ]  # fmt: skip
    # forward 2; backward: one for the head's kernel, and two that lead through the base's
    assert products[1] < products[0]


def test_a_pattern_that_matches_nothing_is_an_error():
    with pytest.raises(UsageError, match="'bsae' matches no parameter"):
        gradients("bsae")(PARAMS)
