from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.errors import UsageError
from dfjax.models import build, input_shapes
from dfjax.models.patch_gan import PatchGAN, instance_norm, receptive_field
from dfjax.models.summary import count

SIDE = 96


def make(frames=1, side=SIDE, **options):
    model = build("patch_gan", lowering="native", width=0.125, **options)
    clip = jax.random.normal(jax.random.key(0), (1, frames, side, side, 3))
    inputs = {"rgb": clip, "mask": jnp.ones((1, frames), bool)}
    return model, jax.jit(model.init)(jax.random.key(1), inputs), inputs


def test_counts_and_paths():
    model = build("patch_gan", lowering="native", spectral_norm=True)
    inputs = input_shapes("patch_gan", 64, 1, 1)
    variables = jax.eval_shape(model.init, jax.eval_shape(lambda: jax.random.key(0)), inputs)
    widths = (3, 64, 128, 256, 512, 1)
    by_hand = sum(16 * i * o + o for i, o in zip(widths, widths[1:]))
    assert count(variables["params"]) == by_hand == 2_764_737
    assert count(variables["batch_stats"]) == sum(widths[1:])
    lines = sorted(
        f"{'.'.join(key.key for key in path)} {'x'.join(map(str, leaf.shape))}"
        for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
    )
    golden = Path(__file__).parent / "golden" / "patch_gan.txt"
    assert lines == golden.read_text().splitlines()


def test_a_patch_logit_depends_on_70_by_70_pixels():
    model, variables, inputs = make(norm="none")  # with it, all pixels of a frame count a little

    def middle(clip):
        _, outputs, _ = model.apply(variables, inputs | {"rgb": clip}, train=False, rngs=None)
        return outputs["patch_logits"][0, 0, 5, 5]

    gradient = np.abs(jax.jit(jax.grad(middle))(inputs["rgb"]))[0, 0].max(-1)
    rows, columns = np.nonzero(gradient)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (70, 70)
    assert receptive_field(len(PatchGAN().channels)) == 70


@pytest.mark.parametrize("side,cells", [(24, 1), (64, 6), (71, 6), (112, 12), (256, 30)])
def test_patches_of_a_frame(side, cells):
    inputs = input_shapes("patch_gan", side, 2, 3)
    model = build("patch_gan", width=0.125)
    key = jax.eval_shape(lambda: jax.random.key(0))
    variables = jax.eval_shape(model.init, key, inputs)
    logits, outputs, _ = jax.eval_shape(
        lambda v, x: model.apply(v, x, train=False, rngs=None), variables, inputs
    )
    assert logits.shape == (2,) and outputs["patch_logits"].shape == (2, 3, cells, cells)


def test_frames_that_are_too_small_are_refused():
    with pytest.raises(UsageError, match="frames of 24 px or more, not 23"):
        make(side=23)


def test_the_logit_of_a_clip_is_the_mean_of_its_valid_frames():
    model, variables, inputs = make(frames=3, side=32)
    mask = jnp.array([[True, True, False]])
    clip = inputs["rgb"].at[0, 2].set(jnp.nan)
    apply = jax.jit(lambda x: model.apply(variables, x, train=True, rngs={})[:2])
    logits, outputs = apply({"rgb": clip, "mask": mask})
    np.testing.assert_allclose(logits[0], outputs["patch_logits"][0, :2].mean(), rtol=1e-5)
    assert not outputs["patch_logits"][0, 2].any()


def test_instance_normalisation_by_hand():
    x = jnp.array([1.0, 3.0, 5.0, 7.0]).reshape(1, 2, 2, 1)
    expected = np.array([-3.0, -1.0, 1.0, 3.0]) / np.sqrt(5 + 1e-5)
    np.testing.assert_allclose(instance_norm(x).ravel(), expected, rtol=1e-6)


def test_power_iterations_find_the_largest_singular_value():
    model, variables, inputs = make(side=32, spectral_norm=True)
    apply = jax.jit(lambda v: model.apply(v, inputs, train=True, rngs={})[2])
    for _ in range(60):
        variables = variables | {"batch_stats": apply(variables)}
    params, stats = variables["params"], variables["batch_stats"]
    for name, layer in params.items():
        matrix = np.asarray(layer["kernel"]).reshape(-1, layer["kernel"].shape[-1])
        found = np.linalg.norm(matrix @ np.asarray(stats[name]["u"]))
        np.testing.assert_allclose(found, np.linalg.norm(matrix, 2), rtol=2e-2)
    larger = {name: layer | {"kernel": 3 * layer["kernel"]} for name, layer in params.items()}
    run = jax.jit(lambda p: model.apply(variables | {"params": p}, inputs, train=False, rngs=None))
    np.testing.assert_allclose(run(larger)[0], run(params)[0], rtol=1e-4)


def test_statistics_change_in_training_only():
    model, variables, inputs = make(side=32, spectral_norm=True)
    for train in (False, True):
        rngs = {} if train else None
        stats = model.apply(variables, inputs, train=train, rngs=rngs)[2]
        same = jax.tree.map(lambda a, b: bool((a == b).all()), stats, variables["batch_stats"])
        assert all(jax.tree.leaves(same)) is not train


def test_unknown_options_are_refused():
    with pytest.raises(UsageError, match="unknown norm of patch_gan 'batch'"):
        build("patch_gan", norm="batch")
    with pytest.raises(UsageError, match="channels is empty"):
        build("patch_gan", channels=())
