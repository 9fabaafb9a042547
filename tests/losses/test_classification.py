"""Losses against hand-computed values, limits and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.errors import UsageError
from dfjax.losses.registry import make_loss

LOGITS = jnp.array([0.0, 2.0, -3.0, 1.0])
BATCH = {"label": jnp.array([1, 1, 0, 0], jnp.int8)}


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


def test_bce_by_hand():
    p, y = sigmoid(LOGITS), np.array([1, 1, 0, 0])
    expected = -(y * np.log(p) + (1 - y) * np.log(1 - p))
    np.testing.assert_allclose(make_loss("bce")(LOGITS, {}, BATCH), expected, rtol=1e-6)


def test_bce_smoothing_by_hand():
    p, y = sigmoid(LOGITS), np.array([0.95, 0.95, 0.05, 0.05])
    expected = -(y * np.log(p) + (1 - y) * np.log(1 - p))
    np.testing.assert_allclose(
        make_loss("bce", smoothing=0.1)(LOGITS, {}, BATCH), expected, rtol=1e-5
    )


def test_focal_by_hand():
    p, y = sigmoid(LOGITS), np.array([1, 1, 0, 0])
    p_t = np.where(y == 1, p, 1 - p)
    a_t = np.where(y == 1, 0.25, 0.75)
    expected = -a_t * (1 - p_t) ** 2 * np.log(p_t)
    got = make_loss("focal", gamma=2.0, alpha=0.25)(LOGITS, {}, BATCH)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_focal_at_gamma_0_without_alpha_is_bce():
    for target in (BATCH["label"], jnp.array([0.2, 0.9, 0.5, 0.0])):
        batch = BATCH | {"target": target}
        np.testing.assert_array_equal(
            make_loss("focal", gamma=0.0, smoothing=0.1)(LOGITS, {}, batch),
            make_loss("bce", smoothing=0.1)(LOGITS, {}, batch),
        )


def test_two_class_cross_entropy_is_bce_at_the_difference_and_reaches_both_logits():
    pair = jnp.array([[0.5, 0.5], [-1.0, 1.0], [2.0, -1.0], [0.3, 1.3]])

    def loss(name, z):
        outputs = {"class_logits": z}
        return make_loss(name, smoothing=0.1)(z[:, 1] - z[:, 0], outputs, BATCH)

    np.testing.assert_allclose(loss("cross_entropy", pair), loss("bce", pair), rtol=1e-5)
    gradient = jax.grad(lambda z: loss("cross_entropy", z).sum())(pair)
    p = np.exp(pair) / np.exp(pair).sum(1, keepdims=True)
    wanted = np.array([[0.05, 0.95], [0.05, 0.95], [0.95, 0.05], [0.95, 0.05]])
    np.testing.assert_allclose(gradient, p - wanted, atol=1e-6)


@pytest.mark.parametrize("name", ["bce", "cross_entropy", "focal"])
def test_a_soft_target_is_the_mixture_of_the_two_classes(name):
    outputs = {"class_logits": jnp.stack([jnp.zeros(4), LOGITS], 1)}
    fake, real = (
        make_loss(name)(LOGITS, outputs, {"label": jnp.full(4, label, jnp.int8)})
        for label in (1, 0)
    )
    share = jnp.array([0.3, 0.7, 0.0, 1.0])
    got = make_loss(name)(LOGITS, outputs, BATCH | {"target": share})
    np.testing.assert_allclose(got, share * fake + (1 - share) * real, rtol=1e-6)


@pytest.mark.parametrize("name", ["bce", "focal"])
@pytest.mark.parametrize("logit", [-200.0, 0.0, 200.0])
@pytest.mark.parametrize("label", [0, 1])
def test_values_and_gradients_stay_finite(name, logit, label):
    batch = {"label": jnp.array([label], jnp.int8)}
    value, gradient = jax.value_and_grad(lambda z: make_loss(name)(z, {}, batch).sum())(
        jnp.array([logit])
    )
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_gradient_of_bce_is_probability_minus_label():
    gradient = jax.grad(lambda z: make_loss("bce")(z, {}, BATCH).sum())(LOGITS)
    np.testing.assert_allclose(gradient, sigmoid(LOGITS) - [1, 1, 0, 0], atol=1e-6)


def test_bfloat16_logits_give_float32_losses():
    assert make_loss("bce")(LOGITS.astype(jnp.bfloat16), {}, BATCH).dtype == jnp.float32


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("bcee", {}, "Did you mean 'bce'"),
        ("bce", {"smoothing": 1.5}, "smoothing"),
        ("focal", {"gamma": -1.0}, "gamma"),
        ("focal", {"alpha": 2.0}, "alpha"),
        ("supcon", {"temperature": 0.0}, "temperature"),
    ],
)
def test_wrong_names_and_options(name, options, message):
    with pytest.raises(UsageError, match=message):
        make_loss(name, **options)
