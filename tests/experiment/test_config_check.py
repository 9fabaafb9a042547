"""Tests the errors for out-of-range numbers, unknown names and contradictory settings."""

import pytest

from dfjax.config import base, config_names, load_config
from dfjax.errors import UsageError
from dfjax.experiment.config_check import check_config, list_metrics
from dfjax.experiment.parts import make_config_mesh


@pytest.mark.parametrize("variant", ["", ":smoke", ":tiny"])
def test_every_config_passes(variant):
    for name in config_names():
        check_config(load_config(f"{name}{variant}"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epochs=0", "train.epochs must be at least 1, not 0"),
        ("train.accumulate=0", "train.accumulate must be at least 1"),
        ("optimizer.learning_rate=nan", "optimizer.learning_rate must be a finite number"),
        ("train.ema_decay=1", "train.ema_decay must be below 1"),
        ("data.frames=0", "data.frames must be at least 1"),
        ("data.sampling=odd", "unknown data.sampling 'odd'"),
        ("model.name=dual_straem", "Did you mean 'dual_stream'"),
        ("model.dual_stream.flow=True", "dual_stream reads optical flow: set data.flow=True"),
        ("early_stop.metric=video_acu", "Did you mean 'video_auc'"),
        ("plateau.metric=lost", "Did you mean 'loss'"),
        ("optimizer.multipliers=hq", "optimizer.multipliers are pairs"),
        ("optimizer.multipliers=(('hq', '1'),)", "optimizer.multipliers must be a number"),
        ("early_stop.metric=eer", "set early_stop.mode=min"),
        ("early_stop.metric=frame_auc", "choose clip_auc or video_auc"),
        ("plateau.mode=max", "set plateau.mode=min"),
        ("loss.name=focla", "Did you mean 'focal'"),
        ("loss.bce.smoothing=1.5", "loss.bce.smoothing must be below 1"),
        ("loss.class_weights=balance", "loss.class_weights must be none, balanced or"),
        ("loss.name=supcon", "early_stop.metric=loss"),
        ("profile=5", "profile='5' is not START:STOP"),
        ("schedule.name=restarts", "needs schedule.period"),
        ("loss.method=1", "loss.method needs a model with a method head"),
        ("loss.mask=1", "loss.mask needs a model with a mask head"),
        ("preprocess.std=(1e-320,1,1)", "preprocess.std must be at least 1e-06"),
        ("data.sampling=duration:1e308", "needs seconds"),
    ],
)
def test_what_cannot_be_is_named(override, message):
    with pytest.raises(UsageError, match=message):
        check_config(load_config("dual_stream", [override]))


def test_crops_of_another_size_than_those_to_be_drawn_are_refused_before_that():
    with pytest.raises(UsageError, match="data.crop_size is 77, but the synthetic crops have 64"):
        check_config(load_config("dual_stream:smoke", ["data.crop_size=77"]))


def test_what_can_be_monitored_are_numbers_of_the_validation():
    names = list_metrics()
    assert {"loss", "video_auc", "eer", "clip_auc", "video_auc_max"} <= set(names)
    assert not [name for name in names if name.endswith("_ci")]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["loss.temporal=0.1", "data.frames=1"], "data.frames must be 2"),
        (["loss.method=0.1", "data.shuffle_labels=True"], "cannot be combined"),
        (
            ["loss.name=supcon", "early_stop.metric=loss", "early_stop.mode=min", "mix.mixup=0.2"],
            "mix.mixup",
        ),  # fmt: skip
        (
            ["model.name=frame_classifier", "model.frame_classifier.method_classes=5"],
            "nothing trains",
        ),
        (["model.dual_stream.embedding=128"], "a head for loss.name=supcon that bce does not"),
    ],
)
def test_losses_and_what_they_do_not_go_with(overrides, message):
    with pytest.raises(UsageError, match=message):
        check_config(load_config("dual_stream", list(overrides)))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.features=PACK", "mix.cutmix=1.0"], "cannot be blended or mixed"),
        (["data.features=PACK", "data.self_blend=0.5"], "cannot be blended or mixed"),
        (["data.flow=True", "mix.mixup=0.2"], "use mix.cutmix"),
        (["data.shuffle_labels=True", "data.self_blend=0.5"], "cannot be combined"),
    ],
)
def test_changes_of_clips_and_what_they_do_not_go_with(overrides, message):
    with pytest.raises(UsageError, match=message):
        check_config(load_config("dual_stream", list(overrides)))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["loss.mask=0"], "mask_head=True makes a head that nothing trains"),
        (["mix.cutmix=1.0"], "loss.mask needs unmixed clips"),
        ([], ""),
    ],
)
def test_a_mask_head_is_trained_on_unmixed_clips(overrides, message):
    given = ["loss.mask=1", "model.frame_classifier.mask_head=True", *overrides]
    config = load_config("sbi:smoke", given)
    if not message:
        return check_config(config)
    with pytest.raises(UsageError, match=message):
        check_config(config)


def test_configs_with_groups_are_checked():
    assert base().train.batch_norm == "global" and base().train.gradient_dtype == "auto"
    local = ["train.batch_norm=local", "mesh.data=8", "train.batch_size=8", "eval.batch_size=8"]
    with pytest.raises(UsageError, match="even number"):
        make_config_mesh(load_config("meso4:smoke", [*local, "data.pairing=paired"]))
    with pytest.raises(UsageError, match="clips of all devices"):
        check_config(load_config("meso4:smoke", ["train.batch_norm=2", "mix.mixup=0.2"]))
    for group in ("train.batch_norm=local", "train.gradient_dtype=bfloat16"):
        for term in ("uniformity", "alignment"):
            off = {"uniformity": "alignment", "alignment": "uniformity"}[term]
            with pytest.raises(UsageError, match=f"loss.{term}.* read the clips of all devices"):
                check_config(load_config("gend:smoke", [group, f"loss.{off}=0"]))
        check_config(load_config("gend:smoke", [group, "loss.uniformity=0", "loss.alignment=0"]))
    for value in ("all", "0", "-1"):
        with pytest.raises(UsageError, match="global, local"):
            load_config("meso4:smoke", [f"train.batch_norm={value}"])


@pytest.mark.parametrize(
    ("overrides", "trained"),
    [
        (["optimizer.freeze=()"], "backbone/stage1_block1/attention/key/kernel"),
        (["optimizer.freeze=('query/kernel$',)", "loss.orthogonality=0"], "attention/key/kernel"),
        (["optimizer.freeze=('^backbone/.*kernel$',)"], ""),
        (["optimizer.freeze=()", "loss.orthogonality=0", "loss.singular_values=0"], ""),
    ],
)
def test_penalties_of_adapters_are_those_of_frozen_kernels(overrides, trained):
    config = load_config("effort:smoke", overrides)
    if not trained:
        return check_config(config)
    with pytest.raises(UsageError, match=f"loss.singular_values .*{trained} is not frozen"):
        check_config(config)
