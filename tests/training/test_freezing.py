import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.errors import UsageError
from dfjax.training.freezing import stop_gradients
from dfjax.training.optimizers import make_tx, match_frozen

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


ADAPTED = {
    "base": {"kernel": jnp.eye(3)},
    "head": {"kernel": jnp.ones((3, 1))},
    "adapters": {"base": {"kernel": {"down": jnp.ones((3, 1)), "up": jnp.zeros((1, 3))}}},
}


def frozen_paths(*patterns):
    found = match_frozen(ADAPTED, patterns)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, frozen in jax.tree_util.tree_leaves_with_path(found)
        if frozen
    }


@pytest.mark.parametrize(
    "patterns,frozen",
    [
        ((), set()),
        (("base/",), {"base/kernel"}),
        (("kernel",), {"base/kernel", "head/kernel"}),
        (("^base/", "^adapters/.*/up$"), {"base/kernel", "adapters/base/kernel/up"}),
        (("adapters/",), {"adapters/base/kernel/down", "adapters/base/kernel/up"}),
    ],
)
def test_adapters_are_frozen_only_by_patterns_that_name_them(patterns, frozen):
    assert frozen_paths(*patterns) == frozen


def test_the_optimiser_trains_adapters_of_frozen_kernels():
    tx = make_tx("sgd", lambda step: 1.0, freeze=("base",))
    updates, _ = tx.update(jax.tree.map(jnp.ones_like, ADAPTED), tx.init(ADAPTED), ADAPTED)
    assert not updates["base"]["kernel"].any()
    assert all(leaf.all() for leaf in jax.tree.leaves(updates["adapters"]))


def test_a_pattern_that_would_freeze_adapters_without_naming_them_is_an_error():
    with pytest.raises(UsageError, match="'/down' matches no parameter"):
        frozen_paths("/down")


def test_a_pattern_that_matches_nothing_is_an_error():
    with pytest.raises(UsageError, match="'bsae' matches no parameter"):
        gradients("bsae")(PARAMS)
