"""Settings of generators that contradict each other are refused before a run."""

import pytest

from dfjax.config import load_config
from dfjax.errors import UsageError
from dfjax.experiment.config_check import check_config

REFUSED = {
    "model.discriminator=": "needs a discriminator",
    "model.discriminator=unet": "unet does not judge frames",
    "model.discriminator=two_stream": "two_stream does not judge frames",
    "model.patch_gan.norm=batch": "unknown norm",
    "loss.name=bce": "set loss.name=restoration",
    "data.pairing=paired": "set data.pairing=source",
    "preprocess.mean=(0.4, 0.5, 0.5)": r"values in \[-1, 1\]",
    "data.flow=False": "loss.flow_consistency compares frames along optical flow",
    "data.frames=1": "loss.flow_consistency compares frames along optical flow",
    "loss.perceptual.backbone=vgg": "unknown backbone",
    "mix.mixup=0.2": "mix.mixup is for detectors",
    "data.self_blend=0.5": "data.self_blend is for detectors",
    "train.batch_norm=local": "train.batch_norm is for detectors",
    "early_stop.metric=video_auc": "unknown early_stop.metric",
    "early_stop.mode=min": "would choose the worst psnr",
}


@pytest.mark.parametrize("setting", REFUSED)
def test_settings_that_cannot_work(setting):
    with pytest.raises(UsageError, match=REFUSED[setting]):
        check_config(load_config("defake:smoke", [setting]))


def test_a_generator_needs_a_term_that_trains_it():
    off = [f"loss.{term}.weight=0" for term in ("restoration", "perceptual", "adversarial")]
    with pytest.raises(UsageError, match="nothing trains the generator"):
        check_config(load_config("defake:smoke", off))


def test_single_frames_need_no_flow():
    settings = ["data.frames=1", "data.flow=False", "loss.flow_consistency.weight=0"]
    check_config(load_config("defake:smoke", settings))


def test_a_detector_has_no_source():
    with pytest.raises(UsageError, match="data.pairing=source is for generators"):
        check_config(load_config("meso4:smoke", ["data.pairing=source"]))
