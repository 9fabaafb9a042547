import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.errors import UsageError
from dfjax.weights.merge import merge

OWN = {"params": {"base": {"kernel": jnp.zeros((2, 3))}, "head": {"bias": jnp.zeros(2)}}}


def test_common_paths_are_replaced_and_the_others_told():
    others = {"params": {"base": {"kernel": jnp.ones((2, 3))}, "old": {"bias": jnp.ones(4)}}}
    merged = merge(OWN, others, source="runs/a")
    np.testing.assert_array_equal(merged.variables["params"]["base"]["kernel"], 1)
    np.testing.assert_array_equal(merged.variables["params"]["head"]["bias"], 0)
    assert merged.kept == ("params/head/bias",)
    assert merged.left_out == ("params/old/bias",)
    assert "old" not in merged.variables["params"]


def test_another_shape_names_the_parameter_and_says_what_to_do():
    others = {"params": {"base": {"kernel": jnp.ones((2, 4))}}}
    message = r"runs/a: params/base/kernel has the shape \(2, 4\), .* \(2, 3\); both models must"
    with pytest.raises(UsageError, match=message):
        merge(OWN, others, source="runs/a")


def test_nothing_in_common_is_an_error():
    with pytest.raises(UsageError, match="no parameter of this model: it has params/x/y"):
        merge(OWN, {"params": {"x": {"y": jnp.ones(1)}}}, source="runs/a")
