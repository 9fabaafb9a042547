"""Class weights: published numbers, and that they weigh both classes the same."""

import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.errors import UsageError
from dfjax.losses.registry import make_loss
from dfjax.losses.weighting import ClassWeights, make_class_weights, make_weighted

LOGITS = jnp.array([0.0, 2.0, -3.0])
LABEL = jnp.array([1, 0, 0], jnp.int8)


def test_balanced_weights_as_published():
    weights = make_class_weights("balanced", real=1803, fake=10126)
    assert weights.fake == pytest.approx(0.589, abs=5e-4)
    assert weights.real == pytest.approx(3.308, abs=5e-4)
    n = 1803 + 10126
    assert 1803 * weights.real == pytest.approx(10126 * weights.fake)
    assert 1803 * weights.real + 10126 * weights.fake == pytest.approx(n)  # 1 on average


def test_given_weights_and_none():
    assert make_class_weights("3.3, 0.6", real=1, fake=1) == ClassWeights(3.3, 0.6)
    assert make_class_weights("none", real=0, fake=1) is None


def test_a_clip_has_the_weight_of_its_class_and_a_mixed_one_the_mixture():
    weights = ClassWeights(real=3.0, fake=0.5)
    plain = make_loss("bce")
    weighted = make_weighted(plain, weights)
    batch = {"label": LABEL}
    np.testing.assert_allclose(
        weighted(LOGITS, {}, batch), np.array([0.5, 3, 3]) * plain(LOGITS, {}, batch), rtol=1e-6
    )
    batch = {"label": LABEL, "target": jnp.array([1.0, 0.4, 0.0])}
    np.testing.assert_allclose(
        weighted(LOGITS, {}, batch), np.array([0.5, 2, 3]) * plain(LOGITS, {}, batch), rtol=1e-6
    )


@pytest.mark.parametrize("text", ["balance", "1", "1,2,3", "-1,2", "0,0", "nan,1", "inf,1"])
def test_wrong_weights(text):
    with pytest.raises(UsageError, match="none, balanced or W_REAL,W_FAKE"):
        make_class_weights(text, real=1, fake=1)


def test_balanced_needs_both_classes():
    with pytest.raises(UsageError, match="0 real and 4 fake"):
        make_class_weights("balanced", real=0, fake=4)
