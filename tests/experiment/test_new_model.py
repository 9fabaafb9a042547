"""Tests that a new model needs only a registry entry, or a class outside the package."""

from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
from flax import linen as nn
from jax.sharding import PartitionSpec as P

from dfjax.config import load_config
from dfjax.data.index.records import make_record
from dfjax.data.store.pack import Pack
from dfjax.errors import UsageError
from dfjax.experiment import builders, run_data
from dfjax.experiment.model_size import compute_model_size, draw_model
from dfjax.experiment.parts import jit_train_step, make_parts
from dfjax.models.entry import Box, Entry
from dfjax.models.registry import MODELS
from dfjax.training import sharding

RULES = (("hidden/kernel$", P("fsdp", "tensor")),)


class Toy(nn.Module):
    """Two layers over all pixels of the mean frame."""

    width: int = 8

    @nn.compact
    def __call__(self, inputs, *, train):
        x = inputs["rgb"].mean(1)
        x = nn.relu(nn.Dense(self.width, name="hidden")(x.reshape(x.shape[0], -1)))
        return nn.Dense(1, name="logit")(x)[:, 0], {"features": x}


class Split(Toy):
    """`Toy` with sharding rules."""

    sharding_rules = RULES


def lay_out_toy(options, summary):
    return [[[Box("all", f"Toy of {options['width']}", "", summary.parameters, "head")]]]


SETTINGS = {
    "preprocess.size": 16, "data.frames": 2, "data.pairing": "none", "train.batch_size": 8,
    "optimizer.no_decay": (), "mesh.data": 2, "mesh.fsdp": 2, "mesh.tensor": 2,
}  # fmt: skip


@pytest.fixture(params=["entry", "import path", "object"])
def config(request, monkeypatch):
    """A config of the toy model on a split mesh, in every way to add a model."""
    if request.param == "entry":
        entry = Entry(Toy, layout=lay_out_toy, sharding=RULES)
        monkeypatch.setitem(MODELS, "toy", entry)
        return load_config("dual_stream:smoke", SETTINGS | {"model.name": "toy"})
    if request.param == "object":
        return builders.use_model(load_config("dual_stream:smoke", SETTINGS), Split(width=8))
    return load_config("dual_stream:smoke", SETTINGS | {"model.name": f"{__name__}:Split"})


@pytest.fixture(scope="module")
def pack():
    """A pack whose frames are not read: 16 training and 4 validation videos."""
    rows = [
        make_record(
            video_id=f"s/{n}", dataset="s", label=n % 2, method="real" if n % 2 == 0 else "m",
            split="train" if n < 16 else "val",
        ) | {"frame_indices": [0], "pack_row": n}
        for n in range(20)
    ]  # fmt: skip
    return Pack(Path(), pd.DataFrame(rows), 16)


def make_run_parts(config, pack):
    rows = {split: run_data.split_rows(pack, config, split) for split in ("train", "val")}
    return make_parts(config, pack, rows)


def test_its_size_and_diagram(config):
    size = compute_model_size(config)
    assert size.phases[0].parts == {"hidden": 16 * 16 * 3 * 8 + 8, "logit": 9}
    assert size.summary.input == {"rgb": (1, 2, 16, 16, 3)}
    assert size.summary.shapes["hidden"] == (1, 8)
    drawn = draw_model("mine", config, size.summary)
    assert ("Toy of 8" if config.model.name == "toy" else ">hidden<") in drawn


def test_it_trains_a_step_with_its_parameters_split(config, pack):
    parts = make_run_parts(config, pack)
    assert parts.shardings.params["hidden"]["kernel"].spec == P("fsdp", "tensor")
    batch = {
        k: np.zeros(s.shape, s.dtype) for k, s in builders.example_batch(config, 8, 16).items()
    }
    batch["clip"] = np.random.default_rng(0).integers(0, 255, batch["clip"].shape, np.uint8)
    batch |= {"mask": batch["mask"] | True, "weight": batch["weight"] + 1}
    batch["label"] = np.array([0, 1] * 4, np.int8)
    state = jax.jit(parts.init, out_shardings=parts.shardings)(parts.root_rng, batch)
    before = jax.device_get(state.params)
    step = jit_train_step(config, parts)
    state, metrics = step(state, sharding.put_batch(batch, parts.mesh), parts.root_rng)
    assert np.isfinite(metrics["loss"]) and int(state.step) == 1
    changed = jax.tree.map(lambda a, b: np.abs(a - b).max() > 0, before, dict(state.params))
    assert all(jax.tree.leaves(changed))


def test_without_rules_a_split_mesh_is_refused(pack):
    config = load_config("dual_stream:smoke", SETTINGS | {"model.name": f"{__name__}:Toy"})
    with pytest.raises(UsageError, match="Toy has no sharding rules.*mesh.fsdp=1"):
        make_run_parts(config, pack)
