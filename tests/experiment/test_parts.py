"""Tests gradient accumulation in a config."""

import pytest

from dfjax.config import load_config
from dfjax.experiment.parts import keeps_pairs


@pytest.mark.parametrize(
    "pairing,batch,parts,kept",
    [("paired", 8, 2, True), ("paired", 2, 2, False), ("none", 8, 2, False)],
)
def test_parts_hold_real_and_fake_unless_they_are_single_clips(pairing, batch, parts, kept):
    items = (f"data.pairing={pairing}", f"train.batch_size={batch}", f"train.accumulate={parts}")
    config = load_config("dual_stream", list(items))
    assert keeps_pairs(config) == kept
