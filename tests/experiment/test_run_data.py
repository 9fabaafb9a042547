"""Tests the synthetic set of a run whose loss reads masks."""

import pytest

from dfjax.config import load_config, override
from dfjax.data.store.pack import open_pack
from dfjax.errors import UsageError
from dfjax.experiment import run_data, train
from dfjax.experiment.phases import plan_phases

SMALL = {
    "data.synthetic.videos": 12, "data.synthetic.identities": 6, "data.synthetic.frames": 3,
    "data.synthetic.size": 32,
}  # fmt: skip
HEAD = {"loss.mask": 1.0, "model.frame_classifier.mask_head": True}


def test_a_set_without_masks_is_not_used_for_a_loss_that_reads_them(tmp_path):
    config = override(load_config("resnet18:smoke"), SMALL)
    run_data.synthetic_pack(config, tmp_path)
    with pytest.raises(UsageError, match="was made without masks"):
        run_data.synthetic_pack(override(config, HEAD), tmp_path)
    pack = run_data.synthetic_pack(override(config, HEAD), tmp_path / "other")
    assert open_pack(pack).has_masks


def test_the_set_of_all_phases_has_masks_if_the_last_one_reads_them(tmp_path):
    texts = tuple(f"{key}={value}" for key, value in HEAD.items())
    config = override(load_config("resnet18:smoke"), SMALL | {"phases": (texts,)})
    phases = plan_phases(config, tmp_path)
    assert [phase.config.loss.mask for phase in phases] == [0.0, 1.0]
    train._share_data(phases, tmp_path)
    assert open_pack(phases[0].config.data.path).has_masks
