"""Tests the terms of the objective, their factors, and which of them have class weights."""

import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.errors import UsageError
from dfjax.losses.method import make_method_loss
from dfjax.losses.objective import add_terms, make_objective, sum_objective
from dfjax.losses.registry import make_loss
from dfjax.losses.weighting import ClassWeights

LOGITS = jnp.array([0.5, -1.0, 2.0])
BATCH = {
    "label": jnp.array([1, 0, 0], jnp.int8),
    "mask": jnp.ones((3, 2), bool),
    "method": jnp.array([2, 0, -1], jnp.int8),
}
OUTPUTS = {
    "frame_logits": jnp.array([[0.0, 1.0], [0.0, 2.0], [5.0, 5.0]]),
    "method_logits": jnp.array([[1.0, 0.0, -1.0], [0.0, 2.0, 1.0], [3.0, 0.0, 0.0]]),
}


def test_terms_have_names_and_their_shares():
    objective = make_objective("bce", make_loss("bce"), temporal=0.25, method=0.5, methods=3)
    terms = objective(LOGITS, OUTPUTS, BATCH)
    assert list(terms) == ["bce", "temporal", "method"]
    np.testing.assert_array_equal(terms["bce"], make_loss("bce")(LOGITS, OUTPUTS, BATCH))
    np.testing.assert_allclose(terms["temporal"], [0.25, 1.0, 0.0], rtol=1e-6)
    expected = 0.5 * make_method_loss(3)(LOGITS, OUTPUTS, BATCH)
    np.testing.assert_allclose(terms["method"], expected, rtol=1e-6)
    total = sum(np.asarray(values) for values in terms.values())
    np.testing.assert_allclose(add_terms(terms), total, rtol=1e-6)
    np.testing.assert_allclose(sum_objective(objective)(LOGITS, OUTPUTS, BATCH), total, rtol=1e-6)


def test_added_terms_are_not_weighted_by_class():
    weights = ClassWeights(real=3.0, fake=0.5)
    objective = make_objective("bce", make_loss("bce"), class_weights=weights, temporal=0.25)
    terms = objective(LOGITS, OUTPUTS, BATCH)
    plain = make_loss("bce")(LOGITS, OUTPUTS, BATCH)
    np.testing.assert_allclose(terms["bce"], np.array([0.5, 3, 3]) * plain, rtol=1e-6)
    np.testing.assert_allclose(terms["temporal"], [0.25, 1.0, 0.0], rtol=1e-6)


@pytest.mark.parametrize("shares", [{"temporal": -1.0}, {"method": float("nan")}])
def test_a_share_that_is_not_a_positive_number_is_refused(shares):
    (name,) = shares
    with pytest.raises(UsageError, match=f"loss.{name} must not be negative"):
        make_objective("bce", make_loss("bce"), **shares)


def test_a_main_loss_with_the_name_of_an_added_term_is_refused():
    with pytest.raises(UsageError, match="temporal has the name of an added term"):
        make_objective("temporal", make_loss("bce"), temporal=0.25)
