"""Every config: its header, its variants, its shapes; `:smoke` trains."""

import ast
import json
import operator
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
from command_server import Server

from dfjax import FAKE, REAL
from dfjax.config import VARIANTS, base, config_names, find_config, load_config
from dfjax.data.index.records import make_record
from dfjax.data.store.pack import Pack
from dfjax.data.transforms.augment_presets import Augmentation, choose_augmentation
from dfjax.experiment import builders, run_data
from dfjax.experiment.parts import jit_train_step, make_parts

NAMES = config_names()
SPECS = [f"{name}{variant}" for name in NAMES for variant in ("", *(f":{v}" for v in VARIANTS))]


@pytest.mark.parametrize("name", NAMES)
def test_header(name):
    text = ast.get_docstring(ast.parse(find_config(name).read_text()))
    lines = dict(re.findall(r"^(Command|Hardware|Time|Expected):\s+(\S.*)$", text, re.MULTILINE))
    assert list(lines) == ["Command", "Hardware", "Time", "Expected"]
    assert lines["Command"].startswith(f"dfjax train --config={name}")
    for key in ("Time", "Expected"):
        assert lines[key] == "not yet measured" or re.search(r"\d", lines[key])


@pytest.mark.parametrize("spec", SPECS)
def test_loads_locked_and_named(spec):
    config = load_config(spec)
    assert config.is_locked
    assert config.name == spec.split(":")[0]
    if spec.endswith(":smoke"):
        assert config.data.synthetic.videos


IMPROVED = {
    "augment.preset": "crop_jitter", "loss.bce.smoothing": 0.1, "mix.mixup": 0.2, "mix.cutmix": 1.0,
    "schedule.name": "restarts", "early_stop.metric": "macro_f1", "data.balance_datasets": True,
}  # fmt: skip
STATED = {
    "dual_stream": {
        "augment.preset": "none", "data.pairing": "auto", "data.frames": 10, "data.stride": 3,
        "optimizer.learning_rate": 1e-4, "train.batch_size": 16, "early_stop.patience": 10,
    },
    "gend": {
        "model.frame_classifier.backbone": "clip_l14", "optimizer.learning_rate": 3e-4,
        "optimizer.weight_decay": 0.0, "train.batch_size": 512, "data.pairing": "paired",
        "loss.uniformity": 0.5, "loss.alignment": 0.1, "early_stop.metric": "map_ovr",
    },
    "effort": {
        "model.frame_classifier.backbone": "clip_l14", "adapter.name": "svd", "adapter.rank": 1,
        "loss.orthogonality": 1.0, "loss.singular_values": 1.0, "optimizer.learning_rate": 2e-4,
        "optimizer.weight_decay": 5e-4, "train.batch_size": 32, "data.train_clips": 8,
    },
    "sbi": {
        "model.frame_classifier.backbone": "b4", "preprocess.size": 380, "data.self_blend": 1.0,
        "optimizer.name": "sgd", "optimizer.learning_rate": 1e-3, "optimizer.sam_radius": 0.05,
        "optimizer.momentum": 0.9, "schedule.hold": 0.75, "train.epochs": 100,
        "train.batch_size": 32, "data.train_clips": 8,
    },
    "two_stream_flow": {
        "optimizer.learning_rate": 2e-4, "optimizer.weight_decay": 1e-4, "plateau.patience": 5,
        "data.frames": 16, "train.batch_size": 4, "train.epochs": 40, "early_stop.patience": 0,
    },
    "resnet18": IMPROVED, "resnet18_bilstm": IMPROVED, "hybrid": IMPROVED,
}  # fmt: skip


@pytest.mark.parametrize("name", STATED)
def test_published_settings_are_the_defaults(name):
    config = load_config(name)
    found = {key: operator.attrgetter(key)(config) for key in STATED[name]}
    assert found == STATED[name]


AUGMENTED = {
    "efficientnet_b4": "jitter_erase", "efficientnet_v2s": "jitter_erase",
    "resnet50": "jitter_erase", "xception": "jitter_erase",
    "efficientnet_b4_380": "affine_brightness", "efficientnet_b4_linear": "deepfakebench",
    "resnet18": "crop_jitter", "resnet18_bilstm": "crop_jitter", "hybrid": "crop_jitter",
    "real_faces": "compression",
    "gend": "gend", "effort": "deepfakebench", "sbi": "sbi",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_only_what_is_published_clips_gradients_or_augments(name):
    config = load_config(name)
    assert config.augment.preset == AUGMENTED.get(name, "none")
    clips = name in ("transformer_head", "real_faces")
    assert config.optimizer.clip_norm == (1.0 if clips else 0.0)


def test_the_schema_is_neutral():
    config = base()
    assert choose_augmentation(**config.augment) == Augmentation({})
    assert not (config.optimizer.clip_norm or config.mix.mixup or config.mix.cutmix)
    assert not (
        config.loss.bce.smoothing or config.optimizer.weight_decay or config.plateau.patience
    )
    assert config.schedule.name == "constant" and not config.schedule.warmup_steps


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_are_small_in_every_config(variant):
    for name in NAMES:
        config = load_config(f"{name}:{variant}")
        model = config.model[config.model.name]
        halved = (name, variant) == ("defake", "smoke")  # its step is that of two networks
        assert config.preprocess.size == (32 if halved else 64)
        if name in ("gend", "effort"):
            assert model.backbone == "clip_t8"
        elif not name.startswith("meso"):  # these are small as published
            assert (model.width, model.one_block) == (0.25, True)
        assert config.precision == "float32" and config.augment.preset == "flip"
        videos = {"smoke": 16, "tiny": 400 if name == "defake" else 2000}
        assert config.data.synthetic.videos == videos[variant]


def make_pack(crop_size):
    """A pack whose frames are not read: pairs of a real video and its fake, in two splits."""
    rows = []
    for number in range(64):
        split = "train" if number < 48 else "val"
        real, fake = f"s/real/{number}", f"s/fake/{number}"
        for video_id, label, pair_id in ((real, REAL, None), (fake, FAKE, real)):
            row = make_record(
                video_id=video_id,
                dataset="s",
                label=label,
                method="m",
                split=split,
                pair_id=pair_id,
            )
            rows.append({**row, "frame_indices": [0], "pack_row": len(rows)})
    return Pack(Path(), pd.DataFrame(rows), crop_size)


CHANGES = (
    *("data.self_blend=0.5", "data.hard_mining=0.5", "data.balance_datasets=True"),
    *("mix.mixup=0.4", "mix.cutmix=1.0", "mix.segment=True"),
)


# Tracing takes seconds each: the full sizes, the demos' `:tiny`, and dual_stream without `CHANGES`
# are traced with the tests marked slow. Others differ from `:smoke` in sizes that tracing ignores.
SIMILAR = (  # to resnet18, efficientnet_b4_380 or meso4 but for the backbone, the head and phases
    *(
        "efficientnet_b4",
        "efficientnet_b4_linear",
        "efficientnet_v2s",
        "mesoinception4",
        "real_faces",
        "resnet50",
        "sbi",
    ),
    "xception",
)
QUICK = [f"{name}:smoke" for name in NAMES if name not in ("dual_stream", *SIMILAR)]
DEMOS = ("dual_stream", "hybrid", "defake")
SLOW = [*NAMES, *(f"{name}:smoke" for name in SIMILAR), *(f"{name}:tiny" for name in DEMOS)]
TRACED = [
    *((spec, ()) for spec in QUICK),
    *(pytest.param(spec, (), marks=pytest.mark.slow) for spec in SLOW),
]


@pytest.mark.parametrize(("spec", "more"), [*TRACED, ("dual_stream:smoke", CHANGES)])
def test_the_step_gives_back_the_state_it_was_given(spec, more):
    """Traces the run's own initialisation and step, on eight devices; nothing is computed."""
    overrides = ["train.batch_size=8", "eval.batch_size=8", "data.holdout_methods=()", *more]
    config = load_config(spec, list(overrides))
    pack = make_pack(config.preprocess.size)
    rows = {split: run_data.split_rows(pack, config, split) for split in ("train", "val")}
    parts = make_parts(config, pack, rows)
    batch = builders.example_batch(config, 8, pack.crop_size)
    after, metrics = jax.eval_shape(
        jit_train_step(config, parts), parts.shapes, batch, parts.root_rng, *parts.frozen
    )
    assert jax.tree.structure(after) == jax.tree.structure(parts.shapes)
    before, after = (
        [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)]
        for tree in (parts.shapes, after)
    )
    assert after == before
    assert {leaf.dtype.name for leaf in jax.tree.leaves(parts.shapes.params)} == {"float32"}
    assert metrics["loss"].shape == () and metrics["loss"].dtype == "float32"


def run_as_a_user(*command):
    """Runs the command in a process of its own, with the devices that the machine has."""
    env = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
    done = subprocess.run(
        [sys.executable, "-m", "dfjax", *command], capture_output=True, text=True, env=env
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def server():
    """Commands in processes of their own, which start at once and compile without optimisations."""
    started = Server(JAX_DISABLE_MOST_OPTIMIZATIONS="1")
    yield started
    started.close()


STARTED_AGAIN = ("resnet18", "efficientnet_b4_380")  # in one phase, in two
LONG = {"efficientnet_b4_380", "sbi"}  # minutes of compilation: two phases, two gradients
TRAINED = [
    pytest.param(name, marks=[pytest.mark.release] * (name in LONG))
    for name in NAMES
    if name not in SIMILAR or name in LONG
]


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_smoke_trains_and_is_then_complete(name, tmp_path, server):
    command = ["train", f"--config={name}:smoke", f"--workdir={tmp_path}", "--json"]
    if name in STARTED_AGAIN:
        trained = run_as_a_user(*command)
    else:
        ended = server.run(*command, place=tmp_path)
        assert ended.code == 0, ended.text
        trained = json.loads(ended.text.splitlines()[-1])
    assert trained["status"] == "trained"
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if row["split"] == "train"]
    assert losses and all(np.isfinite(losses))
    assert any(row["split"] == "val" for row in rows)
    if name in STARTED_AGAIN:
        assert run_as_a_user(*command)["status"] == "complete"
