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


def lower(values, rate=1.0, mode="max", **options):
    """The scale after every epoch."""
    plateau, scale, scales = Plateau("auc", mode, **options), 1.0, []
    for epoch, value in enumerate(values, start=1):
        plateau.update(epoch, {"auc": value})
        scale = plateau.next_scale(scale, rate)
        scales.append(scale)
    return scales


FLAT = [0.5, 0.5, 0.5, 0.5, 0.6, 0.5, 0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("keras", [1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2]),  # after 2 epochs without
        ("torch", [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25]),  # after more than 2
    ],
)
def test_plateau_lowers_the_scale_each_time_patience_runs_out_down_to_the_floor(rule, expected):
    assert lower(FLAT, rule=rule, patience=2, factor=0.5, floor=0.2) == expected


def test_torch_asks_for_a_relative_and_keras_for_an_absolute_improvement():
    values = [1000.0 + 0.02 * epoch for epoch in range(4)]  # 2e-5 of the value
    assert lower(values, rule="torch", patience=2)[-1] == 0.5
    assert lower(values, rule="keras", patience=2)[-1] == 1.0


def test_torch_leaves_out_changes_that_are_too_small():
    assert lower(FLAT, rate=1e-8, rule="torch", patience=1)[-1] == 1.0
    assert lower(FLAT, rate=1e-8, rule="keras", patience=1)[-1] < 1.0


def test_plateau_without_patience_changes_nothing():
    plateau = Plateau("auc", "max", patience=0)
    plateau.waited = 99
    assert plateau.next_scale(0.3, 1.0) == 0.3


def test_an_unknown_rule_is_an_error():
    with pytest.raises(UsageError, match="keras, torch"):
        Plateau("auc", "max", patience=1, rule="pytorch")


def choose(rows, metric="auc", **options):
    """The stop after epochs with (metric, loss, further values)."""
    stop = EarlyStop(metric, "max", **{"patience": 3} | options)
    for epoch, (value, loss, *more) in enumerate(rows, start=1):
        stop.update(epoch, {metric: value, "loss": loss, **(more[0] if more else {})})
    return stop


def test_equal_values_prefer_the_lower_loss_and_do_not_reset_patience():
    stop = choose([(1.0, 0.5), (1.0, 0.3), (1.0, 0.4), (0.9, 0.1)])
    assert (stop.best_epoch, stop.best, stop.waited) == (2, 1.0, 3)
    assert stop.should_stop(4)


@pytest.mark.parametrize(("min_epochs", "best"), [(0, 4), (2, 4), (9, 1)])
def test_equal_values_and_losses_prefer_the_later_epoch_from_min_epochs_on(min_epochs, best):
    assert choose([(1.0, 0.5)] * 4, min_epochs=min_epochs).best_epoch == best


VERDICTS, SCORES = {"constant_verdicts": 1.0}, {"constant_scores": 1.0, "constant_verdicts": 1.0}


def test_a_detector_that_calls_everything_fake_does_not_win_by_its_f1():
    """Seen on real faces: epoch 1 has F1 0.667 and test AUC 0.540, epoch 6 F1 0.610 and 0.695."""
    rows = [(0.667, 0.69, VERDICTS), (0.5, 0.68), (0.61, 0.66), (0.667, 0.6, VERDICTS)]
    stop = choose(rows, metric="f1")
    assert (stop.best_epoch, stop.best, stop.best_constant) == (3, 0.61, False)
    assert choose(rows[:1], metric="f1").best_constant, "as long as there is no other"


def test_constant_verdicts_do_not_count_against_a_metric_of_scores():
    assert choose([(0.9, 0.5, VERDICTS), (0.8, 0.4)]).best_epoch == 1
    assert choose([(0.9, 0.5, SCORES), (0.8, 0.4)]).best_epoch == 2


def test_the_state_of_an_older_checkpoint_is_taken_back():
    stop = EarlyStop("auc", "max", patience=3)
    stop.load_state({"best": 0.7, "best_epoch": 2, "waited": 1})
    assert not stop.update(4, {"auc": 0.6, "loss": 1.0}) and stop.waited == 2
