"""Temporal consistency: by hand, and what must not count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.errors import UsageError
from dfjax.losses.temporal import temporal_consistency

MASK = jnp.array([[1, 1, 1, 1], [0, 1, 1, 0], [1, 0, 1, 0]], bool)
NOTHING = jnp.zeros(3)


def test_by_hand():
    frames = jnp.array([[0.0, 1.0, 3.0, 3.0], [9.0, 2.0, 5.0, 9.0], [1.0, 9.0, 2.0, 9.0]])
    got = temporal_consistency(NOTHING, {"frame_logits": frames}, {"mask": MASK})
    np.testing.assert_allclose(got, [(1 + 4 + 0) / 3, 9.0, 0.0], rtol=1e-6)


def test_vectors_are_averaged_over_their_width():
    frames = jnp.zeros((3, 4, 2)).at[0, 1].set(jnp.array([1.0, 3.0]))
    got = temporal_consistency(NOTHING, {"frame_features": frames}, {"mask": MASK})
    np.testing.assert_allclose(got, [(5 + 5 + 0) / 3, 0.0, 0.0], rtol=1e-6)


def test_constant_frames_give_zero_and_no_gradient_even_beside_padding_that_is_not_finite():
    frames = jnp.where(MASK, jnp.array([[2.0], [-1.0], [0.5]]), jnp.nan)

    def total(frames):
        return temporal_consistency(NOTHING, {"frame_logits": frames}, {"mask": MASK}).sum()

    value, gradient = jax.value_and_grad(total)(frames)
    assert float(value) == 0.0
    np.testing.assert_array_equal(gradient, np.zeros((3, 4)))


def test_a_model_without_frames_is_refused():
    with pytest.raises(UsageError, match=r"loss\.temporal=0"):
        temporal_consistency(NOTHING, {"features": jnp.zeros((3, 2))}, {"mask": MASK})
