"""Validation on a mesh: clips divided, split parameters gathered, the scores of one device."""

import jax
import numpy as np
import pandas as pd
import pytest
from jax.sharding import PartitionSpec

from dfjax.config import config_names, load_config
from dfjax.evaluation.scoring.scorer import LOSS_KEYS, Scorer, make_predict_step
from dfjax.experiment import builders
from dfjax.experiment.generator_check import is_generator
from dfjax.experiment.objective import list_methods, make_config_loss
from dfjax.experiment.parts import sharding_rules
from dfjax.losses.objective import sum_objective
from dfjax.training.sharding import make_mesh, state_shardings

MESHES = [(8, 1, 1), (2, 4, 1), (2, 2, 2)]
INDEX = pd.DataFrame({"label": [0, 1], "method": ["real", "warp"]})
SMALLER = {  # compiles faster
    "model.dual_stream.hq": "resnet18",
    "model.dual_stream.lq": "resnet18",
    "model.dual_stream.conv_lstm": (32, 32),
    "data.frames": 2,
    "lowering": "native",
}
DETECTORS = [name for name in config_names() if not is_generator(load_config(name))]
SIMILAR = (  # frame classifiers whose backbone alone differs from those that are tested
    *("efficientnet_b4_linear", "efficientnet_b4_380", "efficientnet_v2s", "mesoinception4"),
    *("real_faces", "resnet50", "sbi", "xception"),
    "effort",  # gend with adapters, which are scored in test_adapted_training
)
CASES = [
    pytest.param("dual_stream", SMALLER, id="small dual_stream"),
    *(
        pytest.param(name, {}, id=name, marks=pytest.mark.slow)
        for name in DETECTORS
        if name not in (*SIMILAR, "dual_stream")
    ),
]

pytestmark = pytest.mark.usefixtures("compiled_quickly")


def make_batch(config):
    """Random clips of both classes, the last one padding of weight 0."""
    rng = np.random.default_rng(0)
    shapes = builders.example_batch(config, 8, config.preprocess.size)
    batch = {name: np.zeros(shape.shape, shape.dtype) for name, shape in shapes.items()}
    if "clip" in batch:
        batch["clip"] = rng.integers(0, 256, batch["clip"].shape).astype(np.uint8)
    for name in {"features", "flow"} & set(batch):
        batch[name] = rng.normal(size=batch[name].shape).astype(batch[name].dtype)
    batch["mask"] = np.ones_like(batch["mask"])
    batch["label"] = np.array([0, 1] * 4, np.int8)
    batch["weight"] = np.array([1.0] * 7 + [0.0], np.float32)
    if "method" in batch:
        batch["method"] = batch["label"]
    return batch


@pytest.mark.parametrize(("name", "overrides"), CASES)
def test_every_mesh_scores_as_one_device_does(name, overrides):
    config = load_config(f"{name}:smoke", overrides)
    rows = np.arange(len(INDEX))
    loss = sum_objective(make_config_loss(config, INDEX, rows, weighted=False))
    model, preprocess = builders.make_model(config), builders.make_config_preprocess(config)
    step = make_predict_step(
        model.apply, preprocess, loss=loss, methods=list_methods(config, INDEX, rows)
    )
    variables = jax.jit(model.init)(jax.random.key(0), zeros(builders.example_inputs(config)))
    variables = jax.device_get(variables)
    batch = make_batch(config)

    def score(shape):
        mesh = make_mesh(*shape, devices=jax.devices()[: int(np.prod(shape))])
        shapes = jax.eval_shape(lambda: variables)
        shardings = state_shardings(shapes, mesh, sharding_rules(config, mesh))
        if shape[1] > 1:
            specs = [sharding.spec for sharding in jax.tree.leaves(shardings)]
            assert any(spec != PartitionSpec() for spec in specs)
        scorer = Scorer(step, mesh=mesh, keys=LOSS_KEYS)
        on_mesh = scorer.put_batch(batch)
        assert {x.addressable_shards[0].data.shape[0] for x in on_mesh.values()} == {8 // mesh.size}
        ((_, scores),) = scorer([jax.device_put(variables, shardings)], [batch])
        return scores

    alone = score((1, 1, 1))
    assert np.ptp(alone["logit"]) > 0 and np.isfinite(alone["loss"][:7]).all()
    for shape in MESHES:
        for column, values in score(shape).items():
            np.testing.assert_allclose(values, alone[column], rtol=0, atol=1e-5, err_msg=column)


def zeros(shapes):
    return {name: np.zeros(shape.shape, shape.dtype) for name, shape in shapes.items()}
