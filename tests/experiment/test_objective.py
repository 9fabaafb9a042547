"""Tests the loss of a config, and its errors before compilation."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from flax import linen as nn

from dfjax.config import differences, from_dict, load_config, to_json
from dfjax.errors import UsageError
from dfjax.experiment import builders
from dfjax.experiment.objective import (
    check_outputs,
    find_class_weights,
    list_methods,
    load_methods,
    make_config_loss,
    save_methods,
    use_loss,
)
from dfjax.experiment.phases import plan_phases


class Mean(nn.Module):
    """A model without outputs besides the logits."""

    @nn.compact
    def __call__(self, inputs, *, train):
        return nn.Dense(1)(inputs["rgb"].mean((1, 2, 3)))[:, 0]


INDEX = pd.DataFrame(
    {
        "label": [0, 1, 1, 1, 0, 1],
        "method": ["youtube", "NT", "DF", "NT", "actors", "FS"],
    }
)
TRAIN = np.array([0, 1, 2, 3, 4])  # FS is only in another split


def make_config(*overrides, name="resnet18:smoke"):
    return load_config(name, list(overrides))


def test_methods_and_class_weights_are_those_of_the_training_videos():
    config = make_config("loss.method=0.5", "loss.class_weights=balanced")
    assert list_methods(config, INDEX, TRAIN) == ["real", "DF", "NT"]
    assert list_methods(make_config(), INDEX, TRAIN) == []
    weights = find_class_weights(config, INDEX, TRAIN)
    assert weights == (5 / 4, 5 / 6)


def test_validation_is_not_weighted_by_class():
    config = make_config("loss.class_weights=balanced", "loss.bce.smoothing=0.0")
    batch = {"label": jnp.array([0, 1], jnp.int8)}
    logits = jnp.zeros(2)
    weighted = make_config_loss(config, INDEX, TRAIN)(logits, {}, batch)["bce"]
    plain = make_config_loss(config, INDEX, TRAIN, weighted=False)(logits, {}, batch)["bce"]
    np.testing.assert_allclose(plain, np.log(2) * np.ones(2), rtol=1e-6)
    np.testing.assert_allclose(weighted, np.log(2) * np.array([5 / 4, 5 / 6]), rtol=1e-6)


def check(*overrides, name="resnet18:smoke"):
    config = make_config(*overrides, name=name)
    loss = make_config_loss(config, INDEX, TRAIN)
    check_outputs(config, builders.make_model(config), loss, config.preprocess.size)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["loss.name=cross_entropy"], "two-class head, and this model has one logit"),
        (["loss.method=1.0"], "3 classes.* no such head"),
        (["loss.method=1.0", "model.frame_classifier.method_classes=5"], "3 classes.* has 5"),
        (["loss.temporal=1.0", f"model.name={__name__}:Mean"], "outputs per frame"),
    ],
)
def test_missing_outputs_are_errors_before_compilation(overrides, message):
    with pytest.raises(UsageError, match=message):
        check("data.frames=2", *overrides)


SMALL = (
    "data.frames=2", "model.two_stream.flow=False", "model.dual_stream.hq=b0",
    "model.dual_stream.lq_size=32",
    *(f"model.{name}.one_block=True" for name in ("dual_stream", "two_stream", "clip_detector")),
)  # fmt: skip


def test_losses_that_fit_the_model_pass():
    check("loss.name=cross_entropy", "model.frame_classifier.classes=2", "loss.temporal=0.1")
    check("loss.method=1.0", "model.frame_classifier.method_classes=3")
    check("loss.name=supcon", "early_stop.metric=loss")
    for model in ("dual_stream", "two_stream", "clip_detector"):
        check("loss.temporal=0.1", f"model.name={model}", *SMALL)


def far(logits, outputs, batch):
    return jnp.abs(logits)


def test_a_loss_object_takes_the_place_of_the_configs_and_is_recorded():
    config = make_config("loss.class_weights=2,4")
    named = use_loss(config, far)
    assert config.loss.name == "bce" and named.loss.name == f"{__name__}:far"
    batch = {"label": jnp.array([0, 1], jnp.int8)}
    for given in ({"loss": far}, {}):
        terms = make_config_loss(named, INDEX, TRAIN, **given)(-jnp.ones(2), {}, batch)
        assert {name: values.tolist() for name, values in terms.items()} == {"far": [2.0, 4.0]}
    again = from_dict(json.loads(to_json(named)))
    assert differences(named, again) == []
    assert differences(named, config)[0].startswith("loss.name")


@dataclasses.dataclass
class Power:
    gamma: float = 1.0

    def __call__(self, logits, outputs, batch):
        return jnp.abs(logits) ** self.gamma


def test_the_fields_of_a_loss_object_are_recorded():
    config = make_config()
    named = use_loss(config, Power(gamma=3.0))
    assert differences(named, use_loss(config, Power(gamma=3.0))) == []
    assert "gamma" in differences(named, use_loss(config, Power(gamma=5.0)))[0]
    terms = make_config_loss(named, INDEX, TRAIN)(2 * jnp.ones(2), {}, {})
    assert terms["Power"].tolist() == [8.0, 8.0]


def mean_of(logits, outputs, batch):
    return jnp.abs(logits).mean()


@pytest.mark.parametrize("name", ["far", "mean_of"])
def test_a_loss_of_ones_own_gives_one_number_per_clip(name):
    config = make_config(f"loss.name={__name__}:{name}")
    objective = make_config_loss(config, INDEX, TRAIN)
    model = builders.make_model(config)
    if name == "far":
        check_outputs(config, model, objective, config.preprocess.size)
        return
    with pytest.raises(UsageError, match=r"mean_of of 2 clips has shape \(\)"):
        check_outputs(config, model, objective, config.preprocess.size)


def test_names_of_methods_are_kept_with_the_run(tmp_path):
    save_methods(tmp_path, [])
    assert load_methods(tmp_path) == [] and not list(tmp_path.iterdir())
    save_methods(tmp_path, ["real", "DF"])
    assert load_methods(tmp_path) == ["real", "DF"]


def test_contrastive_pre_training_then_fine_tuning_is_a_run_in_phases(tmp_path):
    head = "model.frame_classifier.embedding"
    fine = f"('loss.name=bce','early_stop.metric=video_auc','early_stop.mode=max','{head}=0')"
    first = ["loss.name=supcon", "early_stop.metric=loss", "early_stop.mode=min", f"{head}=128"]
    phases = plan_phases(make_config(*first, f"phases=({fine},)"), tmp_path)
    assert [phase.config.loss.name for phase in phases] == ["supcon", "bce"]
    assert phases[1].workdir == tmp_path and phases[1].config.train.init_from
