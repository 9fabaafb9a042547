"""Tests the metrics of restored fakes on tables with known values."""

import numpy as np
import pandas as pd
import pytest

from dfjax.evaluation.metrics.restoration_metrics import (
    ARMS,
    compute_restoration,
    match_histogram,
)


def make_tables(n=40):
    rows = []
    for i in range(n):
        for arm, psnr, prob in zip(ARMS, (20, 21, 23), (0.9, 0.8, 0.4 if i % 4 else 0.7)):
            values = {"psnr": psnr + 0.1 * (i % 3), "ssim": 0.5, "fake_prob": prob}
            rows.append({"video_id": f"f{i}", "group": f"g{i // 2}", "arm": arm, **values})
    reals = pd.DataFrame(
        [
            {"video_id": f"r{i}", "group": f"g{i}", "fake_prob": 0.3 + 0.2 * (i % 2)}
            for i in range(20)
        ]
    )
    return pd.DataFrame(rows), reals


def test_means_rates_and_differences():
    result = compute_restoration(*make_tables())
    restored, base = result["restored"], result["unchanged"]
    assert restored["psnr_gain"] == pytest.approx(3.0)
    assert restored["psnr_gain_ci"] == pytest.approx([3.0, 3.0])
    assert restored["flip_rate"] == 0.75 and base["flip_rate"] == 0.0
    assert base["auc"] == 1.0 and "auc_drop" not in base
    # 30 fakes at 0.4 are above the 10 reals at 0.3 and below the 10 at 0.5; 10 at 0.7 above all.
    assert restored["auc"] == pytest.approx((30 * 0.5 + 10) / 40)
    assert restored["auc_drop"] == pytest.approx(1 - restored["auc"])
    low, high = restored["auc_drop_ci"]
    assert low < restored["auc_drop"] < high
    assert set(result) == set(ARMS) and result["histogram"]["auc"] == 1.0


def test_without_a_detector_only_the_pictures_are_compared():
    fakes, _ = make_tables()
    result = compute_restoration(fakes.drop(columns="fake_prob"), None)
    assert not {"auc", "flip_rate"} & set(result["restored"])
    assert result["restored"]["ssim_gain"] == 0.0


def test_no_caught_fake_has_no_flip_rate():
    fakes, reals = make_tables()
    result = compute_restoration(fakes.assign(fake_prob=0.1), reals)
    assert result["restored"]["flip_rate"] is None and result["restored"]["flip_rate_ci"] is None


def test_matched_images_have_the_distribution_of_the_reference():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 100, (64, 64, 3), np.uint8)
    reference = np.clip(rng.normal(160, 20, (64, 64, 3)), 0, 255).astype(np.uint8)
    matched = match_histogram(image, reference)
    for channel in range(3):
        found, wanted = (np.sort(x[..., channel].ravel()).astype(int) for x in (matched, reference))
        assert np.abs(found - wanted).mean() < 1.5
        order = np.argsort(image[..., channel].ravel())
        assert (np.diff(matched[..., channel].ravel()[order].astype(int)) >= 0).all()
    np.testing.assert_array_equal(match_histogram(reference, reference), reference)
