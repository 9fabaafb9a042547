"""Tests Monte-Carlo dropout and mirror images."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from dfjax.data.transforms.preprocess import pass_features
from dfjax.evaluation.metrics.uncertainty import MEASURES
from dfjax.evaluation.scoring.draws import has_dropout, make_draw_step, mirror
from dfjax.evaluation.scoring.score_table import tabulate
from dfjax.evaluation.scoring.scorer import Scorer, make_predict_step
from dfjax.evaluation.tables.predictions import COLUMNS
from dfjax.models import build, input_shapes

WIDTH, T = 6, 3


def make_model(rate):
    """A linear classifier of stored features with one hidden layer, which compiles at once."""
    options = {
        "features": WIDTH, "temporal": "none", "pooling": "mean", "classifier": (16,),
        "dropout": (rate,),
    }  # fmt: skip
    model = build("clip_detector", **options)
    shapes = input_shapes("clip_detector", 8, 2, T, **options)
    variables = model.init(
        jax.random.key(0), jax.tree.map(lambda s: jnp.ones(s.shape, s.dtype), shapes)
    )
    return model, variables, shapes


@pytest.fixture(scope="module")
def dropping():
    return make_model(0.5)


@pytest.fixture(scope="module")
def batch():
    features = np.random.default_rng(0).normal(size=(4, T, WIDTH)).astype(np.float32)
    return {"features": jnp.asarray(features), "mask": jnp.ones((4, T), bool)}


def draw(model, variables, batch, **options):
    step = jax.jit(make_draw_step(model.apply, pass_features, **options))
    return np.asarray(step(variables, batch)["logits"])


def test_passes_differ_and_come_again(dropping, batch):
    model, variables, _ = dropping
    logits = draw(model, variables, batch, passes=5)
    assert logits.shape == (1, 5, 4) and (logits.std(axis=1) > 0).all()
    np.testing.assert_array_equal(draw(model, variables, batch, passes=5), logits)
    assert (draw(model, variables, batch, passes=5, seed=1) != logits).any()


def test_a_clip_scores_the_same_in_any_place_and_company(dropping, batch):
    model, variables, _ = dropping
    logits = draw(model, variables, batch, passes=5)
    turned = {name: values[::-1] for name, values in batch.items()}
    np.testing.assert_array_equal(draw(model, variables, turned, passes=5), logits[..., ::-1])


def test_the_mean_of_many_passes_is_the_score_without_dropout_of_a_linear_model(batch):
    """Inverted dropout keeps the mean of what a linear layer reads."""
    model, variables, _ = make_model(0.5)
    plain = np.asarray(make_predict_step(model.apply, pass_features)(variables, batch)["logit"])
    passes = draw(model, variables, batch, passes=4000)[0]
    error = passes.std(axis=0) / np.sqrt(4000)
    assert (np.abs(passes.mean(axis=0) - plain) < 5 * error).all()


def test_without_dropout_there_is_no_spread_and_that_is_noticed(dropping, batch):
    model, variables, shapes = make_model(0.0)
    logits = draw(model, variables, batch, passes=3)
    np.testing.assert_array_equal(logits, np.repeat(logits[:, :1], 3, axis=1))
    plain = make_predict_step(model.apply, pass_features)(variables, batch)["logit"]
    # One clip at a time is another order of sums than all at once.
    np.testing.assert_allclose(logits[0, 0], plain, rtol=1e-6, atol=1e-6)
    assert not has_dropout(model.apply, variables, shapes)
    assert has_dropout(dropping[0].apply, dropping[1], dropping[2])


@pytest.mark.parametrize("remat", ["none", "all"])
@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_recomputing_a_backbone_is_no_dropout(remat, rate):
    options = {
        "backbone": "resnet18", "width": 0.125, "one_block": True, "hidden": (8,),
        "hidden_norm": False, "input_dropout": 0.0, "dropout": (rate,), "remat": remat,
    }  # fmt: skip
    model, inputs = (make("frame_classifier", **options) for make in (build, make_inputs))
    variables = jax.eval_shape(model.init, jax.random.key(0), inputs)
    assert has_dropout(model.apply, variables, inputs) == (rate > 0)


def make_inputs(name, **options):
    return input_shapes(name, 32, 1, 1, **options)


def slope(variables, inputs, *, train, rngs):
    """A model of the left side of a clip and of the flow to the right."""
    weight = jnp.linspace(1, 0, inputs["clip"].shape[3])[:, None]
    logits = (inputs["clip"] * weight).mean((1, 2, 3, 4))
    return logits + inputs["flow"][..., 0].mean((1, 2, 3)), {}, {}


def pixels(batch, rng, *, train):
    return {name: values.astype(jnp.float32) for name, values in batch.items()}


def test_flip_scores_a_clip_and_its_mirror_image_alike():
    rng = np.random.default_rng(0)
    clips = {
        "clip": jnp.asarray(rng.integers(0, 255, (2, T, 8, 8, 3)), jnp.uint8),
        "flow": jnp.asarray(rng.normal(size=(2, T - 1, 8, 8, 2)), jnp.float16),
        "mask": jnp.ones((2, T), bool),
    }
    mirrored = mirror(clips)
    np.testing.assert_array_equal(mirrored["clip"], clips["clip"][..., ::-1, :])
    np.testing.assert_array_equal(mirrored["flow"][..., 0], -clips["flow"][..., ::-1, 0])
    np.testing.assert_array_equal(mirrored["flow"][..., 1], clips["flow"][..., ::-1, 1])
    step = make_draw_step(slope, pixels, flip=True)
    one, other = (np.asarray(step({}, c)["logits"]) for c in (clips, mirrored))
    assert one.shape == (2, 1, 2) and (one[0] != one[1]).all()
    np.testing.assert_array_equal(one[::-1], other)  # so is any mean over the two


def test_the_table_has_the_measures_and_the_mean_probability():
    probs = np.array([[[0.2, 0.6], [0.4, 0.6]], [[0.4, 0.6], [0.6, 0.8]]])  # views, draws, clips
    logits = jnp.asarray(np.log(probs / (1 - probs)))
    batch = {
        "mask": np.ones((2, T), bool), "position": np.zeros((2, T), np.int32),
        "label": np.array([0, 1], np.int8), "weight": np.ones(2, np.float32),
        "video_index": np.arange(2, dtype=np.int32),
    }  # fmt: skip
    index = pd.DataFrame({"dataset": "d", "video_id": ["a", "b"], "method": ["real", "x"]})
    scored = Scorer(lambda variables, batch: {"logits": logits})([{}], [batch])
    table = tabulate(scored, index, split="test")
    assert list(table) == [*COLUMNS, *MEASURES]
    np.testing.assert_allclose(table["fake_prob"], [0.4, 0.65], rtol=1e-6)
    np.testing.assert_allclose(table["logit"], np.log([0.4 / 0.6, 0.65 / 0.35]), rtol=1e-6)
    # Mirror images are one draw: 0.3 and 0.5, 0.6 and 0.7.
    np.testing.assert_allclose(table["fake_prob_sd"], [0.1, 0.05], rtol=1e-5)
    one = {"logits": logits[:, :1]}
    table = tabulate(Scorer(lambda variables, batch: one)([{}], [batch]), index, split="test")
    assert list(table) == list(COLUMNS)  # a single draw has no spread
    np.testing.assert_allclose(table["fake_prob"], [0.3, 0.6], rtol=1e-6)
