"""Checks the numbers and names of a config before anything is computed."""

import jax
import pandas as pd
from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from dfjax.config import loss_options, model_options
from dfjax.config_ranges import check_ranges
from dfjax.data.clips.sampling import check_sampling
from dfjax.data.synthetic.plan import make_plan
from dfjax.errors import UsageError, unknown
from dfjax.evaluation import metrics
from dfjax.evaluation.tables.predictions import COLUMNS
from dfjax.experiment.builders import (
    divides_statistics,
    example_inputs,
    frozen_patterns,
    make_config_preprocess,
    make_model,
    make_sampling,
    model_extras,
    score_unit,
)
from dfjax.experiment.generator_check import (
    METRICS,
    check_detector,
    check_generator,
    is_generator,
)
from dfjax.import_paths import is_import_path
from dfjax.losses.objective import ADDED, make_objective
from dfjax.losses.registry import make_loss
from dfjax.losses.weighting import make_class_weights
from dfjax.models.entry import ADAPTERS
from dfjax.models.registry import full_options
from dfjax.training.optimizers import match_frozen
from dfjax.training.profiling import read_steps
from dfjax.training.schedules import make_schedule

LARGEST_BATCH = 10**12
"""Bytes of pixels in a batch, over all processes, that no run can want."""

LOWER_IS_BETTER = ("loss", "l1", "log_loss", "brier", "ece", "eer", "eer_nearest")
"""Metrics of which smaller values are better."""

UNFREEZE = (
    "Set train.init_from to a workdir or a safetensors file, init.backbone to a backbone's file, "
    "optimizer.freeze=() to train everything, or train.freeze_random=True to freeze random values"
)
"""Advice for an error message about frozen parameters that are not loaded."""


def check_config(config: ConfigDict) -> None:
    """Checks a config for errors that would otherwise only be found during the run.

    Raises:
        UsageError: A number is out of range, a model, sampling or metric is unknown, or two
            settings contradict each other.
    """
    check_ranges(config)
    full_options(config.model.name, model_options(config).to_dict())
    if "flow" in model_extras(config) and not config.data.flow:
        raise UsageError(
            f"{config.model.name} reads optical flow: set data.flow=True or "
            f"model.{config.model.name}.flow=False"
        )
    check_sampling(make_sampling(config))
    _check_size(config)
    synthetic = config.data.synthetic
    if synthetic.videos and not (config.data.path or config.data.features):
        make_plan(synthetic.videos, synthetic.identities, config.seed)
        if config.data.crop_size not in (0, synthetic.size):
            raise UsageError(
                f"data.crop_size is {config.data.crop_size}, but the synthetic crops have "
                f"{synthetic.size} px; leave the key out to use the size of the data"
            )
    read_steps(config.profile)
    make_schedule(learning_rate=1.0, total_steps=1, **config.schedule)
    if is_generator(config):
        check_generator(config)
        make_config_preprocess(config)
    else:
        check_detector(config)
        _check_loss(config)
        _check_changes(config)
        _check_penalties(config)
    _check_monitors(config)


def check_loaded(config: ConfigDict) -> None:
    """Checks that a run which freezes parameters also loads them.

    Raises:
        UsageError: The run would freeze random values.
    """
    loaded = config.train.init_from or any(config.init.values())
    if config.optimizer.freeze and not (loaded or config.train.freeze_random):
        raise UsageError(
            f"optimizer.freeze={config.optimizer.freeze!r} would freeze parameters at random "
            f"values, because none are loaded. {UNFREEZE}"
        )


def _check_monitors(config: ConfigDict) -> None:
    names = METRICS if is_generator(config) else list_metrics()
    for section in ("early_stop", "plateau"):
        metric, mode = config[section].metric, config[section].mode
        if metric not in names:
            raise unknown(f"{section}.metric", metric, names)
        other = "clip_auc" if score_unit(config) == "frame" else "frame_auc"
        if metric == other:
            raise UsageError(
                f"{section}.metric={metric} is undefined with data.frames={config.data.frames}: "
                f"choose {score_unit(config)}_auc or video_auc"
            )
        better = "min" if metric in LOWER_IS_BETTER else "max"
        if mode in ("min", "max") and mode != better:
            raise UsageError(
                f"{section}.mode={mode} would choose the worst {metric}: set "
                f"{section}.mode={better}"
            )


def _check_size(config: ConfigDict) -> None:
    """Checks that a batch of the model's inputs can be held in the memory of any machine."""
    for key in ("train.batch_size", "eval.batch_size"):
        clips = config[key.partition(".")[0]].batch_size
        frames, side = config.data.frames, config.preprocess.size
        size = clips * frames * side * side * 3
        if size > LARGEST_BATCH:
            raise UsageError(
                f"{key}={clips} with data.frames={frames} and preprocess.size={side} needs "
                f"{size / 1e12:.1f} TB for the pixels of one batch"
            )


def _check_loss(config: ConfigDict) -> None:
    """Checks that loss, data and model are compatible; `check_outputs` checks the outputs."""
    loss, name = config.loss, config.model.name
    make_objective(
        loss.name,
        make_loss(loss.name, **loss_options(config)),
        **{term: loss[term] for term in ADDED},
    )
    make_class_weights(loss.class_weights, real=1, fake=1)
    if loss.name == "supcon" and config.early_stop.metric != "loss":
        raise UsageError(
            "loss.name=supcon does not train the classifier, so the checkpoint must be chosen by "
            "the loss: set early_stop.metric=loss early_stop.mode=min"
        )
    if loss.name == "supcon" and (config.mix.mixup or config.mix.cutmix):
        raise UsageError("loss.name=supcon needs unmixed clips: set mix.mixup=0 mix.cutmix=0")
    for key in ("uniformity", "alignment"):
        if loss[key] and (config.mix.mixup or config.mix.cutmix):
            raise UsageError(f"loss.{key} needs unmixed clips: set mix.mixup=0 mix.cutmix=0")
    if loss.temporal and config.data.frames < 2:
        raise UsageError("loss.temporal compares consecutive frames: data.frames must be 2 or more")
    if loss.method and config.data.shuffle_labels:
        raise UsageError(
            "data.shuffle_labels cannot be combined with loss.method, whose targets are true"
        )
    options = model_options(config)
    if options.get("embedding", 0) and loss.name in ("bce", "cross_entropy", "focal"):
        raise UsageError(
            f"model.{name}.embedding={options.embedding} makes a head for loss.name=supcon that "
            f"{loss.name} does not train: set embedding=0"
        )
    head = options.get("method_classes", 0)
    if loss.method and not head and not is_import_path(name):
        raise UsageError(
            "loss.method needs a model with a method head: frame_classifier has one with "
            "method_classes, the number of methods of training and one for real"
        )
    if head and not loss.method:
        raise UsageError(
            f"model.{name}.method_classes={head} makes a head that nothing trains: set "
            "loss.method=1.0 or method_classes=0"
        )
    _check_mask_head(config)


def _check_mask_head(config: ConfigDict) -> None:
    """Checks that a mask head is trained and that clips keep their masks."""
    name, wanted = config.model.name, bool(config.loss.mask)
    head = model_options(config).get("mask_head", False)
    if wanted and not head and not is_import_path(name):
        raise UsageError(
            "loss.mask needs a model with a mask head: frame_classifier has one with mask_head=True"
        )
    if head and not wanted:
        raise UsageError(
            f"model.{name}.mask_head=True makes a head that nothing trains: set loss.mask=1.0 or "
            "mask_head=False"
        )
    if wanted and (config.mix.mixup or config.mix.cutmix or config.data.shuffle_labels):
        raise UsageError(
            "loss.mask needs unmixed clips and true labels: set mix.mixup=0 mix.cutmix=0 "
            "data.shuffle_labels=False"
        )


def _check_changes(config: ConfigDict) -> None:
    """Checks that augmentation, mixing and self-blending are compatible with the data."""
    make_config_preprocess(config)
    data, mixed = config.data, config.mix.mixup or config.mix.cutmix
    if data.features and (data.self_blend or mixed):
        raise UsageError(
            "stored features cannot be blended or mixed: with data.features, set data.self_blend, "
            "mix.mixup and mix.cutmix to 0"
        )
    if data.flow and config.mix.mixup:
        raise UsageError("mix.mixup cannot mix optical flow: with data.flow, use mix.cutmix")
    loss = config.loss
    compared = mixed or loss.name == "supcon" or loss.uniformity or loss.alignment
    if divides_statistics(config) and compared:
        raise UsageError(
            "mix, loss.name=supcon, loss.uniformity and loss.alignment read the clips of all "
            "devices: set train.batch_norm=global and train.gradient_dtype=auto"
        )
    if data.shuffle_labels and data.self_blend:
        raise UsageError(
            "data.shuffle_labels cannot be combined with data.self_blend, whose labels are true"
        )


def _check_penalties(config: ConfigDict) -> None:
    """Checks that the kernels whose penalties are computed are fixed but for their adapters."""
    factors = [f"loss.{key}" for key in ("orthogonality", "singular_values") if config.loss[key]]
    if not factors or config.adapter.name != "svd":
        return
    key = jax.eval_shape(lambda: jax.random.key(0))
    params = jax.eval_shape(make_model(config).init, key, example_inputs(config))["params"]
    frozen = flatten_dict(match_frozen(params, frozen_patterns(config)), sep="/")
    adapted = {path.rpartition("/")[0] for path in flatten_dict(params[ADAPTERS], sep="/")}
    trained = sorted(path for path in adapted if not frozen[path])
    if trained:
        raise UsageError(
            f"{' and '.join(factors)} are of kernels of which only the adapter is trained, and "
            f"{trained[0]} is not frozen: set optimizer.freeze to patterns of all adapted kernels, "
            "such as those of adapter.kernels, or the factors to 0"
        )


def list_metrics() -> list[str]:
    """Returns the names that can be monitored: `loss` and the validation metrics."""
    nothing = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()})
    return ["loss", *metrics.compute(nothing, resamples=0)]
