import math

import pytest

from dfjax.errors import UsageError
from dfjax.training.stopping import EarlyStop, Plateau


def run(values, **options):
    stop = EarlyStop("auc", options.pop("mode", "max"), **options)
    for epoch, value in enumerate(values, start=1):
        stop.update(epoch, {"auc": value})
        if stop.should_stop(epoch):
            return epoch, stop
    return None, stop


def test_stops_when_patience_epochs_brought_no_improvement():
    epoch, stop = run([0.5, 0.7, 0.7, 0.6, 0.9], patience=2)
    assert (epoch, stop.best, stop.best_epoch) == (4, 0.7, 2)


def test_an_equal_value_is_no_improvement():
    stop = EarlyStop("auc", "max", patience=3)
    assert [stop.update(e, {"auc": v}) for e, v in enumerate([0.5, 0.5, 0.6])] == [
        True,
        False,
        True,
    ]


def test_min_epochs_are_trained_in_any_case():
    assert run([0.9] + [0.1] * 9, patience=2, min_epochs=6)[0] == 6


def test_mode_min_takes_the_lowest():
    assert run([3.0, 1.0, 2.0], mode="min", patience=0)[1].best == 1.0


def test_patience_zero_never_stops():
    assert run([1.0] * 50, patience=0)[0] is None


def test_state_continues_where_it_was():
    whole = run([0.5, 0.7, 0.6, 0.6], patience=9)[1]
    half = run([0.5, 0.7], patience=9)[1]
    resumed = EarlyStop("auc", "max", patience=9)
    resumed.load_state(half.state())
    for epoch, value in ((3, 0.6), (4, 0.6)):
        resumed.update(epoch, {"auc": value})
    assert resumed == whole


@pytest.mark.parametrize(
    ("values", "match"),
    [({"loss": 0.1}, "there are: loss"), ({"auc": math.nan}, "early_stop.metric=loss")],
)
def test_a_metric_that_cannot_be_monitored_is_an_error(values, match):
    with pytest.raises(UsageError, match=match):
        EarlyStop("auc", "max", patience=1).update(1, values)


def test_mode_must_be_max_or_min():
    with pytest.raises(UsageError, match="'up'"):
        EarlyStop("auc", "up", patience=1)


def test_plateau_lowers_the_scale_each_time_patience_runs_out_down_to_the_floor():
    plateau, scale, scales = Plateau("auc", "max", patience=2, factor=0.5, floor=0.2), 1.0, []
    for epoch, value in enumerate([0.5, 0.5, 0.5, 0.5, 0.6, 0.5, 0.5, 0.5, 0.5], start=1):
        plateau.update(epoch, {"auc": value})
        scale = plateau.next_scale(scale)
        scales.append(scale)
    assert scales == [1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2]


def test_plateau_without_patience_changes_nothing():
    plateau = Plateau("auc", "max", patience=0)
    plateau.waited = 99
    assert plateau.next_scale(0.3) == 0.3
