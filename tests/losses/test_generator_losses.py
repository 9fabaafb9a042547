"""The losses of a generator: values by hand, limits, and what reaches which network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.errors import UsageError
from dfjax.losses.adversarial import find_adversarial, gradient_penalty
from dfjax.losses.flow_consistency import flow_difference
from dfjax.losses.generator import GeneratorObjective, Restored, make_critic_term
from dfjax.losses.restoration import absolute_difference, feature_difference, frame_mean

LOGITS = jnp.array([-2.0, 0.0, 0.5, 3.0])
MASK = jnp.array([[True, False], [True, True]])


def test_adversarial_losses_by_hand():
    hinge, lsgan, bce = map(find_adversarial, ("hinge", "lsgan", "bce"))
    assert hinge.real(LOGITS).tolist() == [0, 1, 1.5, 4]
    assert hinge.restored(LOGITS).tolist() == [3, 1, 0.5, 0]
    assert hinge.generator(LOGITS).tolist() == LOGITS.tolist()
    assert lsgan.real(LOGITS).tolist() == lsgan.generator(LOGITS).tolist() == [4, 0, 0.25, 9]
    assert lsgan.restored(LOGITS).tolist() == [9, 1, 0.25, 4]
    sigmoid = 1 / (1 + np.exp(-np.asarray(LOGITS)))
    np.testing.assert_allclose(bce.real(LOGITS), -np.log(1 - sigmoid), rtol=1e-5)
    np.testing.assert_allclose(bce.restored(LOGITS), -np.log(sigmoid), rtol=1e-5)
    np.testing.assert_allclose(bce.generator(LOGITS), -np.log(1 - sigmoid), rtol=1e-5)
    with pytest.raises(UsageError, match=r"unknown loss.adversarial.kind 'wgan'"):
        find_adversarial("wgan")


def test_the_gradient_penalty_is_that_of_finite_differences():
    rng = np.random.default_rng(0)
    clips = rng.normal(size=(2, 1, 2, 2, 3))
    weights = rng.normal(size=clips.shape[1:])

    def judge(x):
        return jnp.sum(jnp.sin(x) * weights, (1, 2, 3, 4))

    found = gradient_penalty(judge, jnp.asarray(clips, jnp.float32))
    step, expected = 1e-5, np.zeros(2)
    for place in np.ndindex(clips.shape[1:]):
        change = np.zeros_like(clips)
        change[(slice(None), *place)] = step
        up, down = ((np.sin(clips + s * change) * weights).sum((1, 2, 3, 4)) for s in (1, -1))
        expected += 0.5 * ((up - down) / (2 * step)) ** 2
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_means_are_over_valid_frames():
    values = jnp.array([[[1.0, 3.0], [jnp.nan, 7.0]], [[0.0, 2.0], [4.0, 6.0]]])
    assert frame_mean(values, MASK).tolist() == [2.0, 3.0]
    assert frame_mean(values, jnp.zeros((2, 2), bool)).tolist() == [0.0, 0.0]


def test_absolute_difference_by_hand():
    target = jnp.zeros((2, 2, 1, 1, 3))
    restored = jnp.array([0.3, -0.6, 0.0])[None, None, None, None] * jnp.ones((2, 2, 1, 1, 1))
    restored = restored.at[1, 1].set(1.0)
    np.testing.assert_allclose(absolute_difference(restored, target, MASK), [0.3, 0.65])


def test_maps_of_a_network_count_alike_whatever_their_size():
    def features(clips):
        return [clips, 10 * clips[:, :, :1, :1]]

    target, restored = jnp.zeros((1, 1, 2, 2, 3)), jnp.full((1, 1, 2, 2, 3), 0.2)
    found = feature_difference(features, restored, target, jnp.ones((1, 1), bool))
    np.testing.assert_allclose(found, [(0.2 + 2.0) / 2])


def moving_clip(shift, frames=3, side=24):
    """A smooth pattern that moves rigidly by whole pixels, and its flow."""
    rng = np.random.default_rng(0)
    scene = np.kron(rng.normal(size=(20, 20, 3)), np.ones((4, 4, 1)))
    top = 20 - shift[1] * np.arange(frames)
    left = 20 - shift[0] * np.arange(frames)
    clip = np.stack([scene[y : y + side, x : x + side] for x, y in zip(left, top)])
    flow = np.broadcast_to(np.array(shift, np.float32), (1, frames - 1, side, side, 2))
    return jnp.asarray(clip[None], jnp.float32), jnp.asarray(flow)


BOTH_KNOWN = jnp.ones((1, 2), bool)


@pytest.mark.parametrize("shift", [(0, 0), (2, 0), (-3, 1)])
def test_a_clip_that_moves_rigidly_has_no_flow_difference(shift):
    clip, flow = moving_clip(shift)
    mask = jnp.ones((1, 3), bool)
    np.testing.assert_allclose(flow_difference(clip, flow, mask, BOTH_KNOWN), 0, atol=1e-5)
    if any(shift):
        assert flow_difference(clip, jnp.zeros_like(flow), mask, BOTH_KNOWN)[0] > 0.1


def test_motion_whose_flow_is_not_known_does_not_count():
    clip, flow = moving_clip((2, 0))
    unknown = flow.at[:, 1].set(0)  # as the pack reads it across a missing frame
    mask, known = jnp.ones((1, 3), bool), jnp.array([[True, False]])
    assert flow_difference(clip, unknown, mask, BOTH_KNOWN)[0] > 0.1
    np.testing.assert_allclose(flow_difference(clip, unknown, mask, known), 0, atol=1e-5)


def test_flicker_is_the_flow_difference_and_padding_does_not_count():
    clip, flow = moving_clip((1, 1))
    flicker = clip.at[:, 1].add(0.25)
    mask = jnp.ones((1, 3), bool)
    np.testing.assert_allclose(flow_difference(flicker, flow, mask, BOTH_KNOWN), 0.25, atol=1e-5)
    short = jnp.array([[True, True, False]])
    nothing = clip.at[:, 2].set(jnp.nan)
    np.testing.assert_allclose(flow_difference(nothing, flow, short, BOTH_KNOWN), 0, atol=1e-5)
    assert flow_difference(nothing, flow, jnp.array([[True, False, False]]), BOTH_KNOWN) == 0


def detector(variables, inputs, *, train, rngs):
    assert not train
    return jnp.einsum("bthwc,c->b", inputs["rgb"], variables["params"]["w"]), {}, {}


def test_a_critic_reads_restored_clips_as_it_reads_pixels():
    from_pixels = []

    def preprocess(batch, rng, *, train):
        assert rng is None and not train
        pixels = batch["clip"].astype(jnp.float32) / 255.0
        from_pixels.append(pixels)
        return {"rgb": (pixels - 0.485) / 0.229, "mask": batch["mask"]}

    clips = np.random.default_rng(0).integers(0, 256, (2, 1, 4, 4, 3), np.uint8)
    mask, params = jnp.ones((2, 1), bool), {"w": jnp.array([0.1, -0.2, 0.3])}
    direct = preprocess({"clip": jnp.asarray(clips), "mask": mask}, None, train=False)
    logits = detector({"params": params}, direct, train=False, rngs=None)[0]
    term = make_critic_term(detector, preprocess, "critic")
    restored = Restored(
        jnp.asarray(clips, jnp.float32) / 127.5 - 1,
        jnp.zeros((2, 1, 1, 1)),
        {"mask": mask},
        {"critic": {"params": params}},
    )
    np.testing.assert_allclose(term(restored), jax.nn.softplus(logits), rtol=1e-4)
    np.testing.assert_allclose(from_pixels[1], from_pixels[0], atol=1e-6)
    gradient = jax.grad(lambda clips: term(restored._replace(clips=clips)).sum())(restored.clips)
    assert np.abs(gradient).min() > 0


def test_the_loss_is_the_sum_of_its_terms_times_their_factors():
    terms = {"a": lambda r: r.patches.mean((1, 2, 3)), "b": lambda r: r.clips.mean((1, 2, 3, 4))}
    objective = GeneratorObjective(terms, {"a": 10.0, "b": 0.5})
    clips, patches = jnp.array([1.0, 4.0]), jnp.array([1.0, 2.0])
    clips = clips[:, None, None, None, None] * jnp.ones((2, 1, 2, 2, 3))
    restored = Restored(clips, patches[:, None, None, None] * jnp.ones((2, 1, 2, 2)), {}, {})
    found = objective.compute(restored)
    assert {name: value.tolist() for name, value in found.items()} == {"a": [1, 2], "b": [1, 4]}
    assert objective.add(found).tolist() == [10.5, 22.0]
