"""Tests gradient accumulation: sums, batch statistics, and neighbours in one part."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.training.accumulation import Gradients, accumulate

X = jnp.arange(16.0).reshape(8, 2) / 2
PARAMS = jnp.array([0.5, -1.0])


def compute(params, batch_stats, part, number):
    """A loss that is a sum over clips, and statistics that depend on the order of the parts."""

    def loss(params):
        values = jnp.square(part["x"] @ params)
        return values.sum(), values

    (value, values), grads = jax.value_and_grad(loss, has_aux=True)(params)
    batch_stats = {
        "mean": 0.5 * batch_stats["mean"] + 0.5 * part["x"].mean(),
        "seen": batch_stats["seen"].at[number].set(part["x"][:, 0].sum()),
    }
    return Gradients(value, grads, batch_stats, {"loss": values})


def run(parts, together=1):
    stats = {"mean": jnp.zeros(()), "seen": jnp.zeros(4)}
    return accumulate(compute, PARAMS, stats, {"x": X}, parts=parts, together=together)


@pytest.mark.parametrize(("parts", "together"), [(2, 1), (4, 1), (2, 2)])
def test_parts_add_up_to_the_whole_and_clips_keep_their_order(parts, together):
    whole, split = run(1), run(parts, together)
    np.testing.assert_allclose(split.loss, whole.loss, rtol=1e-6)
    np.testing.assert_allclose(split.grads, whole.grads, rtol=1e-6)
    np.testing.assert_allclose(split.clips["loss"], whole.clips["loss"], rtol=1e-6)


def test_batch_statistics_pass_through_the_parts_one_after_the_other():
    expected = 0.5 * (0.5 * X[::2].mean()) + 0.5 * X[1::2].mean()
    np.testing.assert_allclose(run(2).batch_stats["mean"], expected, rtol=1e-6)


def test_neighbours_that_belong_together_stay_in_one_part():
    apart, paired = run(2).batch_stats["seen"], run(2, together=2).batch_stats["seen"]
    first = np.asarray(X[:, 0])
    assert apart[:2].tolist() == [first[::2].sum(), first[1::2].sum()]
    assert paired[:2].tolist() == [first[[0, 1, 4, 5]].sum(), first[[2, 3, 6, 7]].sum()]
