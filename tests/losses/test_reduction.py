"""Tests the weighted mean, with padding that is not finite, and its gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.losses.reduction import blank_padding, weighted_mean

WEIGHT = jnp.array([1.0, 3.0, 0.0])


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, -jnp.inf])
def test_a_clip_of_weight_0_does_not_reach_the_mean(bad):
    values = jnp.array([1.0, 3.0, bad])
    value, gradient = jax.value_and_grad(weighted_mean)(values, WEIGHT)
    assert float(value) == 2.5
    np.testing.assert_array_equal(gradient, [0.25, 0.75, 0.0])


def test_the_mean_of_no_clip_is_0():
    assert float(weighted_mean(jnp.full(3, jnp.nan), jnp.zeros(3))) == 0.0


def test_means_of_parts_add_up_to_that_of_the_batch():
    values, weight = jnp.array([1.0, 2.0, 4.0, 8.0]), jnp.array([1.0, 0.0, 2.0, 5.0])
    parts = [weighted_mean(values[i::2], weight[i::2], weight.sum()) for i in range(2)]
    assert float(sum(parts)) == float(weighted_mean(values, weight)) == 49 / 8


def test_padding_is_blanked_in_what_is_per_clip_and_floating_point():
    tree = {
        "frames": jnp.full((3, 2, 2), jnp.nan),
        "mask": jnp.ones((3, 2), bool),
        "position": jnp.full((3, 2), 7),
        "temperature": jnp.full((), 2.0),
        "bfloat16": jnp.ones(3, jnp.bfloat16),
    }
    blank = blank_padding(tree, WEIGHT)
    np.testing.assert_array_equal(blank["frames"][2], np.zeros((2, 2)))
    assert bool(jnp.isnan(blank["frames"][:2]).all())
    assert blank["bfloat16"].tolist() == [1.0, 1.0, 0.0] and blank["bfloat16"].dtype == jnp.bfloat16
    for name in ("mask", "position", "temperature"):
        np.testing.assert_array_equal(blank[name], tree[name])
