"""Builds the parts that depend on the config alone: model, preprocessing, sampling, shapes."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from dfjax import precision
from dfjax.config import model_options
from dfjax.data.clips.batching import EpochOptions
from dfjax.data.clips.sampling import Sampling
from dfjax.data.transforms.augment import make_augment
from dfjax.data.transforms.augment_presets import choose_augmentation
from dfjax.data.transforms.mixing import make_mix
from dfjax.data.transforms.preprocess import Change, make_preprocess, pass_features
from dfjax.data.transforms.self_blend import self_blend
from dfjax.import_paths import is_import_path
from dfjax.models import ModelFns, build
from dfjax.models.adapters import Adapter, adapt
from dfjax.models.registry import find_backbones, input_extras, input_streams, register_custom
from dfjax.models.vit_variants import VARIANTS
from dfjax.ops.lowering import resolve
from dfjax.ops.views import VIEWS
from dfjax.shapes import Preprocess
from dfjax.training.sharding import AXES, BATCH_AXES


def make_model(config: ConfigDict, *, platform: str = "") -> ModelFns:
    """Returns the model that `config.model` names, built with the options of its section.

    Args:
        config: Config of the run.
        platform: Platform that the model is to run on, such as `tpu`; empty for that of this
            process.
    """
    dtype = precision.compute_dtype(config.precision)
    options = model_options(config).to_dict()
    lowering = resolve(config.lowering, batch_on_every_axis=BATCH_AXES == AXES, platform=platform)
    model = build(config.model.name, lowering=lowering, dtype=dtype, **options)
    parts = find_backbones(config.model.name, **options).values()
    transformers = [part.part for part in parts if part.name in VARIANTS]
    return adapt(model, config_adapter(config), transformers)


def config_adapter(config: ConfigDict) -> Adapter:
    """Returns the settings of the adapters of the model."""
    return Adapter(**config.adapter)


def tx_options(config: ConfigDict) -> dict[str, Any]:
    """Returns the options of `make_tx`: `config.optimizer` without those of schedule and step."""
    others = ("learning_rate", "sam_radius")
    return {key: value for key, value in config.optimizer.to_dict().items() if key not in others}


def frozen_patterns(config: ConfigDict) -> tuple[str, ...]:
    """Returns the patterns of parameters that are not trained."""
    return (*config.optimizer.freeze, *config_adapter(config).fixed)


def use_model(config: ConfigDict, module: Any) -> ConfigDict:
    """Returns a locked copy of `config` with a Linen module of the caller as its model.

    Args:
        config: Config, which is not changed.
        module: Module object; see `dfjax.models.custom`. The copy names its class by import path
            and has its fields as the options `model.custom`.

    Raises:
        UsageError: A field of the module has a value that a config cannot store.
    """
    named = register_custom(module)
    changed = config.copy_and_resolve_references()
    changed.model.name = named.name
    if is_import_path(named.name):
        changed.model.custom = ConfigDict(named.options)
    else:
        changed.model[named.name].update(named.options)
    return changed.lock()


def stream_sizes(config: ConfigDict) -> dict[str, int]:
    """Returns the input streams of the model and their sizes in pixels."""
    options = model_options(config).to_dict()
    return input_streams(config.model.name, config.preprocess.size, **options)


def model_extras(config: ConfigDict) -> tuple[str, ...]:
    """Returns the names of the inputs that the model reads besides frames, such as `flow`."""
    return input_extras(config.model.name, **model_options(config).to_dict())


def make_config_preprocess(config: ConfigDict) -> Preprocess:
    """Returns the preprocessing function of `config`."""
    if "features" in model_extras(config):
        return pass_features
    p = config.preprocess
    return make_preprocess(
        stream_sizes(config),
        mean=p.mean,
        std=p.std,
        views=[name for name in model_extras(config) if name in VIEWS],
        self_blend=_make_self_blend(config),
        mix=make_mix(**config.mix),
        augment=make_augment(choose_augmentation(**config.augment), fill=p.mean),
    )


def _make_self_blend(config: ConfigDict) -> Change | None:
    """Returns the function that blends clips with themselves, and keeps the masks for the loss."""
    if not config.data.self_blend:
        return None
    return functools.partial(self_blend, region=True) if config.loss.mask else self_blend


def divides_statistics(config: ConfigDict) -> bool:
    """Returns whether each device computes the gradients of its part of the batch by itself."""
    return config.train.batch_norm != "global" or config.train.gradient_dtype != "auto"


def make_sampling(config: ConfigDict) -> Sampling:
    """Returns the rule by which the config samples clips for training."""
    d = config.data
    return Sampling(d.frames, d.sampling, d.stride, d.pad)


def make_epoch_options(config: ConfigDict) -> EpochOptions:
    """Returns the options of the config for the batches of a training epoch."""
    d = config.data
    return EpochOptions(
        pairing=d.pairing,
        batch_size=config.train.batch_size,
        seed=config.seed,
        balance_datasets=d.balance_datasets,
        self_blend=d.self_blend,
        hard_mining=d.hard_mining,
        clips=d.train_clips,
    )


def example_batch(config: ConfigDict, batch_size: int, crop_size: int) -> dict[str, Any]:
    """Returns the shapes and dtypes of a batch, for `jax.eval_shape` and compilation.

    Args:
        config: Config of the run.
        batch_size: Number of clips.
        crop_size: Side of the crops in pixels.
    """
    b, t, s = batch_size, config.data.frames, crop_size
    shapes: dict[str, tuple[tuple[int, ...], Any]] = {
        "mask": ((b, t), jnp.bool_),
        "position": ((b, t), jnp.int32),
        "label": ((b,), jnp.int8),
        "weight": ((b,), jnp.float32),
        "video_index": ((b,), jnp.int32),
    }
    if "features" in model_extras(config):
        shapes["features"] = ((b, t, model_options(config).features), jnp.float32)
    else:
        shapes["clip"] = ((b, t, s, s, 3), jnp.uint8)
    if config.data.pairing == "source":
        shapes["source"] = ((b, t, s, s, 3), jnp.uint8)
    if config.loss.method:
        shapes["method"] = ((b,), jnp.int8)
    if config.loss.mask:
        shapes["region"] = ((b, t, s, s, 1), jnp.uint8)
        shapes["region_known"] = ((b,), jnp.bool_)
    if config.data.self_blend:
        shapes["blend"] = ((b,), jnp.bool_)
    if config.data.flow:
        shapes["flow"] = ((b, t - 1, s, s, 2), jnp.float16)
    return {name: jax.ShapeDtypeStruct(*spec) for name, spec in shapes.items()}


def example_inputs(config: ConfigDict, batch_size: int = 1) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns the shapes and dtypes of the inputs of the model."""
    batch = example_batch(config, batch_size, config.preprocess.size)
    preprocess = make_config_preprocess(config)
    return jax.eval_shape(lambda b: preprocess(b, None, train=False), batch)


def score_unit(config: ConfigDict) -> str:
    """Returns the unit that the model scores: `frame` with one frame per clip, else `clip`."""
    return "frame" if config.data.frames == 1 else "clip"
