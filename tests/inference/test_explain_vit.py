"""Explanations of a vision transformer whose blocks are a scan are those of the unrolled one."""

import dataclasses

import jax
import numpy as np
import pytest

from dfjax.config import load_config
from dfjax.experiment import builders
from dfjax.inference.detector import Detector
from dfjax.inference.explanation import Explainer

pytestmark = pytest.mark.usefixtures("compiled_quickly")

SIZE, FRAMES = 32, 2
SMALL = {
    "preprocess.size": SIZE, "data.crop_size": SIZE, "data.frames": FRAMES, "eval.batch_size": 8,
    "precision": "float32", "model.frame_classifier.backbone": "clip_t8",
    "model.frame_classifier.one_block": False, "model.frame_classifier.width": 1 / 3,
}  # fmt: skip


def make_detector(folder, variables=None, **options):
    changed = {f"model.frame_classifier.{key}": value for key, value in options.items()}
    config = load_config("gend:smoke", SMALL | changed)
    model = builders.make_model(config)
    if variables is None:
        variables = jax.jit(model.init)(jax.random.key(0), builders.example_inputs(config))
    return Detector(
        config=config, variables=variables, checkpoint="best/1", checkpoint_sha256="e" * 64,
        workdir=folder, apply=model.apply, preprocess=builders.make_config_preprocess(config),
    )  # fmt: skip


def test_a_scan_over_blocks_changes_no_explanation(tmp_path):
    plain = make_detector(tmp_path, scan_blocks=False)
    scanned = make_detector(tmp_path, plain.variables, scan_blocks=True, remat="block")
    rng = np.random.default_rng(0)
    clip = rng.integers(0, 256, (FRAMES, SIZE, SIZE, 3), dtype=np.uint8)
    mask, position = np.ones(FRAMES, bool), np.arange(FRAMES, dtype=np.int32)
    ours, theirs = (Explainer(one).explain(clip, mask, position) for one in (plain, scanned))
    assert ours.heat["frames"].max() == 1 and ours.heat["frames"].std() > 0.01
    for field in dataclasses.fields(ours):
        pair = (getattr(one, field.name) for one in (theirs, ours))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), *pair)
