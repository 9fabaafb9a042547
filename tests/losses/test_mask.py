import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.errors import UsageError
from dfjax.losses.mask import average_cells, cover, mask_loss


def test_cells_are_means_of_the_pixels_they_cover():
    region = jnp.asarray(np.random.default_rng(0).random((2, 3, 6, 8), np.float32))
    expected = region.reshape(2, 3, 2, 3, 4, 2).mean((3, 5))
    np.testing.assert_allclose(average_cells(region, (2, 4)), expected, atol=1e-6)
    np.testing.assert_allclose(cover(5, 2), [[0.4, 0.4, 0.2, 0, 0], [0, 0, 0.2, 0.4, 0.4]])
    np.testing.assert_allclose(average_cells(jnp.ones((380, 380)), (12, 12)), 1, atol=1e-5)


def make_batch():
    """A real clip, a fake with a region, one without, and one whose second frame is padding."""
    region = np.zeros((4, 2, 4, 4, 1), np.float32)
    region[[1, 3], :, :2] = 1
    batch = {
        "label": np.array([0, 1, 1, 1], np.int8),
        "mask": np.array([[1, 1], [1, 1], [1, 1], [1, 0]], bool),
        "region": region,
        "region_known": np.array([1, 1, 0, 1], bool),
    }
    return {name: jnp.asarray(value) for name, value in batch.items()}


SCORES = np.random.default_rng(1).normal(size=(4, 2, 2, 2)).astype(np.float32)


def test_the_loss_by_hand():
    probabilities = 1 / (1 + np.exp(-SCORES.astype(np.float64)))
    target = np.zeros_like(probabilities)
    target[[1, 3], :, :1] = 1
    values = -(target * np.log(probabilities) + (1 - target) * np.log(1 - probabilities))
    frames = values.mean((2, 3))
    expected = [frames[0].mean(), frames[1].mean(), 0, frames[3, 0]]
    found = mask_loss(jnp.zeros(4), {"mask_logits": jnp.asarray(SCORES)}, make_batch())
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    without = {k: v for k, v in make_batch().items() if not k.startswith("region")}
    found = mask_loss(jnp.zeros(4), {"mask_logits": jnp.asarray(SCORES)}, without)
    np.testing.assert_allclose(found, [expected[0], 0, 0, 0], rtol=1e-5)


def test_what_does_not_count_has_no_gradient_even_where_it_is_not_finite():
    scores = SCORES.copy()
    scores[3, 1], scores[2] = np.nan, np.inf
    run = jax.value_and_grad(
        lambda s: mask_loss(jnp.zeros(4), {"mask_logits": s}, make_batch()).sum()
    )
    value, gradient = run(jnp.asarray(scores))
    assert np.isfinite(value) and np.isfinite(gradient).all()
    assert not gradient[2].any() and not gradient[3, 1].any() and gradient[3, 0].all()


def test_a_model_without_the_head_is_an_error():
    with pytest.raises(UsageError, match="mask_head=True"):
        mask_loss(jnp.zeros(4), {}, make_batch())
