"""Tests the loading of initial parameters, and the error for frozen parameters that are missing."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import SingleDeviceSharding

from dfjax.errors import UsageError
from dfjax.experiment.initial_state import start
from dfjax.experiment.parts import Parts
from dfjax.training.checkpoint import Checkpoints
from dfjax.training.state import make_init_state
from dfjax.weights.safetensors_file import save_safetensors

PARAMS = {
    "backbone": {"conv1": {"kernel": jnp.ones((2, 2))}, "conv2": {"kernel": jnp.ones((2, 2))}},
    "head": {"kernel": jnp.ones(2)},
}
STATS = {"backbone": {"norm": {"mean": jnp.zeros(2)}}}


def init(rng, inputs):
    return {"params": PARAMS, "batch_stats": STATS}


def make_parts():
    """Returns the parts of a run that its initial state needs."""
    parts = object.__new__(Parts)
    example = {"x": jax.ShapeDtypeStruct((1, 2), jnp.float32)}
    start_of = make_init_state(init, lambda b, rng, *, train: b, optax.sgd(0.1))
    shapes = jax.eval_shape(start_of, jax.random.key(0), example)
    place = SingleDeviceSharding(jax.devices()[0])
    values = {"init": start_of, "example": example, "shapes": shapes, "root_rng": jax.random.key(0)}
    for name, value in values.items():
        object.__setattr__(parts, name, value)
    object.__setattr__(parts, "shardings", jax.tree.map(lambda _: place, shapes))
    return parts


def start_from(folder, params, **options):
    file = folder / "weights.safetensors"
    save_safetensors(file, {"params": params, "batch_stats": {}}, metadata={})
    checkpoints, said = Checkpoints(folder), []
    try:
        state, _ = start(make_parts(), checkpoints, said.append, {}, str(file), **options)
    finally:
        checkpoints.close()
    return state, said


def test_frozen_parameters_that_were_not_loaded_are_refused(tmp_path):
    found = {"backbone": {"conv1": {"kernel": np.zeros((2, 2), np.float32)}}}
    message = "lacks .*backbone/conv2/kernel, which optimizer.freeze .* train.freeze_random=True"
    with pytest.raises(UsageError, match=message):
        start_from(tmp_path, found, must_load=("^backbone/",))
    with pytest.raises(UsageError, match="lacks backbone/norm/mean, which"):  # a statistic
        start_from(tmp_path, found, must_load=("^backbone/norm/",))
    state, said = start_from(tmp_path, found, must_load=("^backbone/conv1/",))
    assert not state.params["backbone"]["conv1"]["kernel"].any()
    kept = "batch_stats/backbone/norm/mean, params/backbone/conv2/kernel, params/head/kernel"
    assert said[1] == f"warning: it lacks {kept}, which are initialised at random"
