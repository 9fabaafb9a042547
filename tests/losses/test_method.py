"""Tests the method loss: cross-entropy by hand, and unknown methods."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.errors import UsageError
from dfjax.losses.method import make_method_loss

SCORES = jnp.array([[1.0, 0.0, -1.0], [0.0, 2.0, 1.0], [3.0, 0.0, 0.0]])
METHOD = jnp.array([0, 2, -1], jnp.int8)


def test_by_hand():
    got = make_method_loss(3)(jnp.zeros(3), {"method_logits": SCORES}, {"method": METHOD})
    log_sum = np.log(np.exp(np.asarray(SCORES, np.float64)).sum(1))
    np.testing.assert_allclose(got, [log_sum[0] - 1.0, log_sum[1] - 1.0, 0.0], rtol=1e-6)


def test_an_unknown_method_gives_no_gradient():
    def total(scores):
        loss = make_method_loss(3)
        return loss(jnp.zeros(3), {"method_logits": scores}, {"method": METHOD}).sum()

    gradient = jax.grad(total)(SCORES)
    np.testing.assert_array_equal(gradient[2], np.zeros(3))
    np.testing.assert_allclose(gradient[1], jax.nn.softmax(SCORES[1]) - jnp.eye(3)[2], atol=1e-6)


@pytest.mark.parametrize(
    ("outputs", "found"), [({}, "no such head"), ({"method_logits": SCORES}, "has 3")]
)
def test_a_head_of_another_size_or_none_is_refused(outputs, found):
    with pytest.raises(UsageError, match=f"4 classes.*{found}"):
        make_method_loss(4)(jnp.zeros(3), outputs, {"method": METHOD})
