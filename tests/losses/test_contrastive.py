"""Supervised contrastive loss against loops in NumPy, and on a batch split over devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.errors import UsageError
from dfjax.losses.contrastive import make_supcon

TAU = 0.2
LABEL = np.array([0, 0, 0, 1, 1, 0, 1, 1], np.int8)
WEIGHT = np.array([1, 1, 1, 1, 1, 1, 0, 0], np.float32)  # the last two are padding
FEATURES = np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32)


def batch(label=LABEL, weight=WEIGHT):
    return {"label": jnp.asarray(label), "weight": jnp.asarray(weight)}


def supcon(features, batch):
    return make_supcon(temperature=TAU)(jnp.zeros(len(features)), {"features": features}, batch)


def reference(features, label, weight):
    """Equation 2 of Khosla et al., word by word."""
    z = features.astype(np.float64)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    valid = [i for i in range(len(z)) if weight[i] > 0]
    losses = np.zeros(len(z))
    for i in valid:
        others = [a for a in valid if a != i]
        positives = [p for p in others if label[p] == label[i]]
        denominator = sum(np.exp(z[i] @ z[a] / TAU) for a in others)
        for p in positives:
            losses[i] -= np.log(np.exp(z[i] @ z[p] / TAU) / denominator) / len(positives)
    return losses


def test_equals_the_reference():
    got = supcon(jnp.asarray(FEATURES), batch())
    np.testing.assert_allclose(got, reference(FEATURES, LABEL, WEIGHT), rtol=1e-5, atol=1e-6)


def test_length_of_a_feature_does_not_matter():
    longer = FEATURES * np.arange(1, 9, dtype=np.float32)[:, None]
    got, wanted = supcon(jnp.asarray(longer), batch()), supcon(jnp.asarray(FEATURES), batch())
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


def test_a_clip_alone_in_its_class_gives_zero():
    label = np.array([1, 0, 0, 0, 0, 0, 1, 1], np.int8)
    got = supcon(jnp.asarray(FEATURES), batch(label))
    assert float(got[0]) == 0.0 and float(jnp.min(got[1:6])) > 0.0


def test_padding_neither_gives_nor_takes_gradient():
    def total(features):
        return supcon(features, batch()).sum()

    gradient = jax.grad(total)(jnp.asarray(FEATURES))
    np.testing.assert_array_equal(gradient[6:], np.zeros((2, 5)))
    other = jnp.asarray(FEATURES).at[6:].set(7.0)
    assert float(total(other)) == float(total(jnp.asarray(FEATURES)))


@pytest.mark.parametrize("kept", [0, 1])
def test_nothing_to_compare_and_features_of_length_zero_have_a_finite_gradient(kept):
    weight = np.zeros(8, np.float32)
    weight[:kept] = 1
    features = jnp.asarray(FEATURES).at[0].set(0.0)
    value, gradient = jax.value_and_grad(lambda z: supcon(z, batch(weight=weight)).sum())(features)
    assert float(value) == 0.0 and bool(jnp.isfinite(gradient).all())


def test_a_split_batch_is_compared_as_a_whole():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    got = jax.jit(supcon)(
        jax.device_put(FEATURES, split), {k: jax.device_put(v, split) for k, v in batch().items()}
    )
    np.testing.assert_allclose(got, reference(FEATURES, LABEL, WEIGHT), rtol=1e-5, atol=1e-6)


def test_mixed_clips_are_refused():
    with pytest.raises(UsageError, match="unmixed clips"):
        supcon(jnp.asarray(FEATURES), batch() | {"target": jnp.ones(8)})
