import pytest

from dfjax.bench import chips
from dfjax.bench.chips import CHIPS, estimate_collective, find_chip, find_slices
from dfjax.bench.hlo_figures import Collective
from dfjax.bench.plan_prediction import (
    check_lanes,
    describe_assumptions,
    predict_bounds,
    predict_scaling,
)
from dfjax.commands import plan
from dfjax.errors import UsageError


def test_slices_have_the_shapes_of_the_pods():
    assert find_slices("v5e", 8) == ("2x4", 1)
    assert find_slices("v5e", 1024) == ("16x16", 4)
    assert find_slices("v5p", 1024) == ("8x8x16", 1)
    for name, count in (("v5e", 24), ("v5p", 2048), ("v6e", 2)):
        with pytest.raises(UsageError, match="256"):
            find_slices(name, count)
    with pytest.raises(UsageError, match="v5e"):
        find_chip("v5")


def test_a_sum_over_a_full_torus_uses_both_directions_of_every_axis():
    size = 1e9
    expected = 2 * (size * 255 / 256 / (4 * 50e9) + 16 * chips.HOP_S)
    assert estimate_collective("v5e", "all-reduce", 1, size, 256) == pytest.approx(expected)


def test_an_axis_that_is_no_ring_carries_half():
    ring = 2 * (1e9 * 7 / 8 / (2 * 50e9) + 4 * chips.HOP_S)  # 2 x 4: hops 1 + 3
    assert estimate_collective("v5e", "all-reduce", 1, 1e9, 8) == pytest.approx(ring)


def test_two_chips_have_one_link():
    expected = 2 * (1e9 / 2 / 50e9 + chips.HOP_S)
    assert estimate_collective("v5e", "all-reduce", 1, 1e9, 2) == pytest.approx(expected)


def test_small_groups_keep_their_size_when_the_mesh_grows():
    wide, small = Collective("all-reduce", 8, 1, 10**6), Collective("all-gather", 4, 1, 10**9)
    rows = predict_scaling("v5e", predict("v5e")[1], [wide, small])
    added = rows[-1]["step_s"] - rows[0]["step_s"]
    sums = [estimate_collective("v5e", "all-reduce", 1, 10**6, count) for count in (8, 1024)]
    assert added == pytest.approx(sums[1] - sums[0])


def test_slices_exchange_their_share_over_the_network():
    within = estimate_collective("v5e", "all-gather", 3, 1e9, 256)
    share = 1e9 / 256 * 3 / 4 / CHIPS["v5e"].network_bandwidth
    across = within + share + 3 * chips.NETWORK_S
    assert estimate_collective("v5e", "all-gather", 3, 1e9, 1024) == pytest.approx(across)


def test_one_chip_sends_nothing():
    assert estimate_collective("h100", "all-reduce", 9, 1e9, 1) == 0


def predict(name, chip_count=8):
    sums = [Collective("all-reduce", 8, 1, 10**9)]
    return sums, predict_bounds(
        name,
        flops=197e12,
        hbm_bytes=2 * 819e9,
        cycles=3 * 1.5e9,
        collectives=sums,
        chips=chip_count,
    )


def test_a_step_takes_as_long_as_its_slowest_resource_and_its_collectives():
    sums, bounds = predict("v5e")
    assert bounds[:3] == pytest.approx((1, 2, 3))
    network = estimate_collective("v5e", "all-reduce", 1, 1e9, 8)
    assert bounds.step == pytest.approx(3 + network)
    rows = predict_scaling("v5e", bounds, sums)
    assert [row["chips"] for row in rows] == [8, 64, 256, 1024]
    assert rows[0]["step_s"] == pytest.approx(bounds.step)
    assert rows[0]["efficiency"] == pytest.approx(3 / bounds.step)
    assert rows[-1]["efficiency"] < rows[-2]["efficiency"] < 1


def test_a_core_of_two_has_half_of_the_chip_and_an_unknown_clock_bounds_nothing():
    assert predict("v4")[1].compute == pytest.approx(2 * 197 / 275)
    sums, bounds = predict("v6e")
    assert bounds.cycles == 0 and "clock" in describe_assumptions("v6e", bounds)[-1]


def test_help_and_assumptions_say_alike_what_the_bytes_of_a_gpu_bound():
    for text in (describe_assumptions("h100", predict("h100")[1])[-1], plan.__doc__):
        assert "time by memory" in text and "lower bound" in text and "upper" not in text


def test_frames_that_leave_lanes_empty_are_named_with_a_better_batch():
    assert "train.batch_size=96 (120 frames)" in check_lanes(16, 10, 8)  # 20 frames a device
    assert "94%" in check_lanes(16, 10, 8)
    assert check_lanes(96, 10, 8) is None
    assert "train.batch_size=12 (120 frames)" in check_lanes(13, 10, 1)  # 130: two tiles
    assert check_lanes(1, 300, 1) is None  # a clip cannot be divided
    assert check_lanes(2, 90, 1) is None  # one clip would fill no more
