"""Tests the summary of the data: counts, videos that are left out, crops that are too small."""

import numpy as np
import pandas as pd
import pytest

from dfjax.config import load_config
from dfjax.experiment.data_summary import summarise_data

ROWS = {"train": np.array([0, 1, 2, 3]), "val": np.array([4])}


def said(*overrides, crop_size=224, dataset="d", pair_id=(None, "a", "elsewhere", None, None)):
    index = pd.DataFrame(
        {
            "video_id": list("abcde"),
            "label": [0, 1, 1, 0, 1],
            "pair_id": pair_id,
            "dataset": dataset,
            "n_frames": [8, 50, None, 8, 50],
            "frame_indices": [None, None, [*range(49)], None, None],
            "mask_indices": [None, [0, 1], None, None, [0]],
        }
    )
    overrides = [*overrides, f"data.crop_size={crop_size}"]
    config = load_config("dual_stream", list(overrides))
    return summarise_data(index, ROWS, config)


def test_counts_by_split_and_what_pairing_leaves_out():
    counts = [
        "train: 2 real, 2 fake videos",
        "val: 0 real, 1 fake videos",
        "frames per training video: real 8.0 ± 0.0 (n 2), fake 49.5 ± 0.7 (n 2), ratio 6.2",
    ]
    assert said("data.pairing=none") == counts
    *same, alone = said()
    assert same == counts
    assert "2 training videos (1 real, 1 fake) have no partner" in alone and "1 pairs" in alone


def test_batches_balanced_for_want_of_pairs_are_told():
    assert "no fake names its real video" in said(pair_id=None)[-1]


@pytest.mark.parametrize(("crop_size", "warned"), [(223, True), (224, False)])
def test_crops_smaller_than_the_input_are_warned_of(crop_size, warned):
    lines = said("data.pairing=none", crop_size=crop_size)
    assert any("crops of 223 px are enlarged" in line for line in lines) == warned


def test_synthetic_data_is_always_called_so():
    assert "the data are synthetic" in said("data.pairing=none", dataset="synthetic")[-1]


def test_class_weights_are_told_and_warned_of_where_batches_are_balanced():
    weights = "class weights: real 3.300, fake 0.600"
    lines = said("data.pairing=none", "loss.class_weights=3.3,0.6")
    assert weights in lines and not any("unbalance them" in line for line in lines)
    lines = said("data.pairing=balanced", "loss.class_weights=3.3,0.6")
    assert weights in lines and any("unbalance them" in line for line in lines)


def test_how_videos_are_drawn_is_told():
    lines = said("data.self_blend=0.25", "data.balance_datasets=True", "data.hard_mining=0.5")
    views = (
        "25% of the fakes are self_blended: two views of a real video, blended inside an ellipse"
    )
    assert views in lines
    assert "data sets are sampled equally often: d (4)" in lines
    assert "50% of an epoch is sampled in proportion to the losses of videos" in lines
    alone = [line for line in said("data.self_blend=1.0") if "no partner" in line]
    assert not alone  # every real video is its own


def test_fakes_without_masks_are_counted_if_a_loss_reads_masks():
    assert said("data.pairing=none", "loss.mask=1")[-1] == (
        "1 of 2 training fakes have masks; loss.mask leaves the others out"
    )
