"""Alignment and uniformity: by hand, limits, and what must not count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.errors import UsageError
from dfjax.losses.hypersphere import alignment, uniformity

# Unit vectors at 0°, 0°, 45°, 90°, 90° of any length; the first three are real.
FEATURES = jnp.array([[1.0, 0.0], [3.0, 0.0], [1.0, 1.0], [0.0, 2.0], [0.0, 1.0]])
BATCH = {"label": jnp.array([0, 0, 0, 1, 1]), "weight": jnp.ones(5)}
ZEROS = jnp.zeros(5)
NEAR = 2 - 2 * np.sqrt(0.5)  # squared distance at 45°; it is 2 at 90°


def test_by_hand():
    found = alignment(ZEROS, {"features": FEATURES}, BATCH)
    np.testing.assert_allclose(found, np.full(5, (0 + NEAR + NEAR + 0) / 4), rtol=1e-5)
    found = uniformity(ZEROS, {"features": FEATURES}, BATCH)
    potentials = [1, 1, *[np.exp(-2 * NEAR)] * 4, *[np.exp(-4)] * 4]
    np.testing.assert_allclose(found, np.full(5, np.log(np.mean(potentials))), rtol=1e-5)


def test_padding_does_not_count_and_one_clip_gives_zero_with_a_finite_gradient():
    batch = BATCH | {"weight": jnp.array([1.0, 0, 1, 0, 1])}
    odd = FEATURES.at[3].set(0.0)
    three = {"label": jnp.array([0, 0, 1]), "weight": jnp.ones(3)}
    for loss in (alignment, uniformity):
        found = loss(ZEROS, {"features": odd}, batch)
        alone = loss(jnp.zeros(3), {"features": FEATURES[jnp.array([0, 2, 4])]}, three)
        np.testing.assert_allclose(found[0], alone[0], rtol=1e-6)
        one = BATCH | {"weight": jnp.array([1.0, 0, 0, 0, 0])}
        value, gradient = jax.value_and_grad(
            lambda x, loss=loss, one=one: loss(ZEROS, {"features": x}, one).sum()
        )(odd)
        assert value == 0 and not np.any(gradient)


def test_equal_clips_are_aligned_and_opposite_ones_uniform():
    same = jnp.ones((5, 2))
    assert float(alignment(ZEROS, {"features": same}, BATCH)[0]) < 1e-6
    np.testing.assert_allclose(uniformity(ZEROS, {"features": same}, BATCH), 0, atol=1e-6)
    opposite = jnp.array([[1.0, 0.0], [-1.0, 0.0]])
    batch = {"label": jnp.array([0, 1]), "weight": jnp.ones(2)}
    found = uniformity(jnp.zeros(2), {"features": opposite}, batch)
    np.testing.assert_allclose(found, -8.0, rtol=1e-5)  # t times the squared distance 4
    np.testing.assert_array_equal(alignment(jnp.zeros(2), {"features": opposite}, batch), 0)


@pytest.mark.parametrize("loss", [alignment, uniformity])
def test_a_model_without_features_and_mixed_clips_are_refused(loss):
    with pytest.raises(UsageError, match=f"loss.{loss.__name__} needs a model that returns"):
        loss(ZEROS, {}, BATCH)
    with pytest.raises(UsageError, match="unmixed"):
        loss(ZEROS, {"features": FEATURES}, BATCH | {"target": ZEROS})
