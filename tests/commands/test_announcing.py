"""What a run says before it starts: counts, videos left out, crops that are too small."""

import numpy as np
import pandas as pd
import pytest

from dfjax.commands.announcing import announce
from dfjax.config import load_config

ROWS = {"train": np.array([0, 1, 2, 3]), "val": np.array([4])}


def said(*overrides, crop_size=224, dataset="d"):
    index = pd.DataFrame(
        {
            "video_id": list("abcde"),
            "label": [0, 1, 1, 0, 1],
            "pair_id": [None, "a", "elsewhere", None, None],
            "dataset": dataset,
        }
    )
    lines = []
    overrides = [*overrides, f"data.crop_size={crop_size}"]
    config = load_config("dual_stream", [f"--config.{item}" for item in overrides])
    announce(lines.append, index, ROWS, config)
    return lines


def test_counts_by_split_and_what_pairing_leaves_out():
    counts = ["train: 2 real, 2 fake videos", "val: 0 real, 1 fake videos"]
    assert said("data.pairing=none") == counts
    *same, alone = said()
    assert same == counts
    assert "2 training videos (1 real, 1 fake) have no partner" in alone and "1 pairs" in alone


@pytest.mark.parametrize(("crop_size", "warned"), [(223, True), (224, False)])
def test_crops_smaller_than_the_input_are_warned_of(crop_size, warned):
    lines = said("data.pairing=none", crop_size=crop_size)
    assert any("crops of 223 px are enlarged" in line for line in lines) == warned


def test_synthetic_data_is_always_called_so():
    assert "the data is synthetic" in said("data.pairing=none", dataset="synthetic")[-1]
