"""The projection head of contrastive pre-training, an option of every detector."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.losses.contrastive import make_supcon
from dfjax.models import build, input_shapes
from dfjax.models.embedding import normalise

SMALL = {"backbone": "resnet18", "width": 0.125, "one_block": True}
MODELS = {
    "frame_classifier": SMALL,
    "clip_detector": SMALL | {"hidden": 16},
    "two_stream": SMALL | {"flow": False},
    "dual_stream": {"hq": "resnet18", "lq": "resnet18", "width": 0.125, "one_block": True},
}


def shapes_of(name, **options):
    model = build(name, lowering="native", **MODELS[name], **options)
    inputs = input_shapes(name, 112, 2, 2, **MODELS[name], **options)
    variables = jax.eval_shape(model.init, jax.eval_shape(lambda: jax.random.key(0)), inputs)
    run = lambda v, x: model.apply(v, x, train=False, rngs=None)[1]  # noqa: E731
    return variables["params"], jax.eval_shape(run, variables, inputs)


@pytest.mark.parametrize("name", MODELS)
def test_every_detector_has_one_on_demand(name):
    without, _ = shapes_of(name)
    params, outputs = shapes_of(name, embedding=128)
    assert params.keys() - without.keys() == {"embedding_hidden", "embedding_output"}
    width = outputs["features"].shape[1]
    assert params["embedding_hidden"]["kernel"].shape == (width, width)
    assert params["embedding_output"]["kernel"].shape == (width, 128)
    assert outputs["embedding"].shape == (2, 128)


def test_the_contrastive_loss_reads_it_and_trains_all_but_the_classifier():
    options = {"features": 6, "temporal": "none", "embedding": 4}
    model = build("clip_detector", **options)
    inputs = {
        "features": jax.random.normal(jax.random.key(1), (4, 3, 6)),
        "mask": jnp.ones((4, 3), bool),
    }
    batch = {"label": jnp.array([0, 0, 1, 1], jnp.int8), "weight": jnp.ones(4)}
    variables = model.init(jax.random.key(0), inputs)
    supcon = make_supcon(temperature=0.5)

    def losses(params):
        logits, outputs, _ = model.apply(
            variables | {"params": params}, inputs, train=True, rngs={"dropout": jax.random.key(2)}
        )
        return supcon(logits, outputs, batch).sum(), outputs

    (value, outputs), grads = jax.value_and_grad(losses, has_aux=True)(variables["params"])
    hidden, output = (
        variables["params"]["embedding_hidden"],
        variables["params"]["embedding_output"],
    )
    x = np.maximum(outputs["features"] @ hidden["kernel"] + hidden["bias"], 0)
    x = x @ output["kernel"] + output["bias"]
    np.testing.assert_allclose(outputs["embedding"], x, atol=1e-5)
    on_features = {"features": outputs["embedding"]}
    np.testing.assert_allclose(value, supcon(jnp.zeros(4), on_features, batch).sum(), rtol=1e-5)
    moved = {name: np.abs(part["kernel"]).max() > 0 for name, part in grads.items()}
    assert moved == {
        "embedding_hidden": True, "embedding_output": True, "classifier_logit": False
    }  # fmt: skip


def test_unit_vectors():
    x = jnp.array([[[3.0, 4.0], [0.0, 0.0]], [[-2e-6, 0.0], [1e8, 1e8]]])
    expected = [[[0.6, 0.8], [0.0, 0.0]], [[-1.0, 0.0], [0.5**0.5, 0.5**0.5]]]
    np.testing.assert_allclose(normalise(x), expected, atol=1e-6)
    assert np.isfinite(jax.grad(lambda x: normalise(x).sum())(x)).all()
