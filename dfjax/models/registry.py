"""`MODELS`, the registered models by name, and functions that evaluate their entries."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from dfjax.errors import UsageError, unknown
from dfjax.files import as_tuple
from dfjax.import_paths import is_import_path, register
from dfjax.models import (
    clip_detector,
    clip_options,
    custom,
    dual_stream,
    frame_classifier,
    layouts,
    mesonet,
    patch_gan,
    sharding_rules,
    two_stream,
    unet,
)
from dfjax.models.backbones import find_backbone
from dfjax.models.entry import BackbonePart, Entry, Options, Rules
from dfjax.models.options import REQUIRED, default_options
from dfjax.ops.views import VIEWS


def _dual_streams(options: Options, size: int) -> dict[str, int]:
    return {name: size if name == "hq" else options["lq_size"] for name in options["streams"]}


def _flow(options: Options) -> tuple[str, ...]:
    return ("flow",) if options["flow"] else ()


def _mesonet(module: type[nn.Module]) -> Entry:
    return Entry(
        module,
        layout=layouts.lay_out_mesonet,
        check=mesonet.check_options,
        sharding=sharding_rules.MESONET,
    )


MODELS = {
    "dual_stream": Entry(
        dual_stream.DualStream,
        layout=layouts.lay_out_dual_stream,
        streams=_dual_streams,
        extras=_flow,
        backbones=dual_stream.find_backbones,
        check=dual_stream.check_options,
        sharding=sharding_rules.DUAL_STREAM,
    ),
    "two_stream": Entry(
        two_stream.TwoStream,
        layout=layouts.lay_out_two_stream,
        extras=_flow,
        backbones=two_stream.find_backbones,
        check=two_stream.check_options,
        sharding=sharding_rules.TWO_STREAM,
    ),
    "frame_classifier": Entry(
        frame_classifier.FrameClassifier,
        layout=layouts.lay_out_frame_classifier,
        extras=frame_classifier.find_views,
        backbones=frame_classifier.find_backbones,
        check=frame_classifier.check_options,
        sharding=sharding_rules.FRAME_CLASSIFIER,
    ),
    "clip_detector": Entry(
        clip_detector.ClipDetector,
        layout=layouts.lay_out_clip_detector,
        streams=clip_options.find_streams,
        extras=clip_options.find_extras,
        backbones=clip_options.find_backbones,
        check=clip_options.check_options,
        sharding=sharding_rules.CLIP_DETECTOR,
    ),
    "meso4": _mesonet(mesonet.Meso4),
    "mesoinception4": _mesonet(mesonet.MesoInception4),
    "unet": Entry(
        unet.UNet,
        layout=layouts.lay_out_unet,
        check=unet.check_options,
        sharding=sharding_rules.UNET,
        generates=True,
    ),
    "patch_gan": Entry(
        patch_gan.PatchGAN,
        layout=layouts.lay_out_patch_gan,
        check=patch_gan.check_options,
        sharding=sharding_rules.PATCH_GAN,
    ),
}
"""The models of the package. Other models are named by import path; see `custom`."""


def find_entry(name: str) -> Entry:
    """Returns the entry of a model.

    Args:
        name: Key of `MODELS`, or the import path of a Linen class.

    Raises:
        UsageError: The name is unknown, or the class cannot be used.
    """
    if is_import_path(name):
        return custom.make_entry(name)
    if name not in MODELS:
        own = "; for a model of your own use its import path, my_package.detectors:MyDetector"
        raise UsageError(str(unknown("model", name, MODELS)).removesuffix(".") + own)
    return MODELS[name]


class Named(NamedTuple):
    """The name and options of a module object, for a config.

    Attributes:
        name: Key of `MODELS`, or the import path of the class.
        options: Values of the fields.
    """

    name: str
    options: dict[str, Any]


def register_custom(module: nn.Module) -> Named:
    """Registers the class of a module object, and returns its name and options for a config.

    In this process the class can then be found by its import path, even if it is defined in a
    notebook or in a function. Other processes have to import it first.

    Raises:
        UsageError: A field has a value that a config cannot store.
    """
    options = custom.read_options(module)
    for name, entry in MODELS.items():
        if type(module) is entry.module:
            return Named(name, options)
    return Named(register(type(module)), options)


def full_options(name: str, options: Mapping[str, object]) -> dict[str, Any]:
    """Returns all options of the model `name`: its defaults, overridden by `options`.

    Raises:
        UsageError: The name or an option is unknown, a required option is missing, or options
            contradict each other.
    """
    entry = find_entry(name)
    defaults = default_options(entry.module)
    for key in options:
        if key not in defaults:
            raise unknown(f"option of {name}", key, defaults)
    merged = defaults | {key: as_tuple(value) for key, value in options.items()}
    empty = [key for key, value in merged.items() if value is None or value is REQUIRED]
    missing = [key for key in empty if defaults[key] is REQUIRED]
    if missing:
        raise UsageError(f"{name} has no default for {', '.join(missing)}: give a value")
    entry.check(merged)
    return merged


def input_streams(name: str, size: int, /, **options: object) -> dict[str, int]:
    """Returns the sides of the image streams of a model in pixels, `{"hq": 224, "lq": 112}`.

    The first stream is the clip itself; the others are downsampled from it.

    Args:
        name: Key of `MODELS`, or an import path.
        size: Side of the frames in pixels.
        options: Options of the model.

    Raises:
        UsageError: The model or an option is unknown.
    """
    merged = full_options(name, options)
    return find_entry(name).streams(merged, size)


def input_extras(name: str, /, **options: object) -> tuple[str, ...]:
    """Returns the inputs of a model besides image streams and mask, such as `flow`.

    Raises:
        UsageError: The model or an option is unknown.
    """
    merged = full_options(name, options)
    return find_entry(name).extras(merged)


def find_backbones(name: str, /, **options: object) -> dict[str, BackbonePart]:
    """Returns the backbones of a model by the names of their streams.

    Raises:
        UsageError: The model or an option is unknown.
    """
    merged = full_options(name, options)
    return find_entry(name).backbones(merged)


def find_sharding_rules(name: str, /, options: Options | None = None) -> Rules:
    """Returns the sharding rules of the parameters of a model.

    Args:
        name: Key of `MODELS`, or an import path.
        options: All options of the model; with a vision transformer as a backbone, its large
            tables have a rule too. None for the rules that all backbones have.

    Raises:
        UsageError: The model is unknown or has no rules.
    """
    rules = find_entry(name).sharding
    if not rules:
        raise UsageError(
            f"{name} has no sharding rules, so its parameters cannot be split: set mesh.fsdp=1 and "
            "mesh.tensor=1, or give its class the attribute sharding_rules, such as "
            '(("kernel$", PartitionSpec("fsdp", "tensor")),)'
        )
    parts = find_entry(name).backbones(options) if options else {}
    patches = any(find_backbone(part.name).patch > 1 for part in parts.values())
    return (*rules, *sharding_rules.VIT_TABLES) if patches else rules


def input_shapes(
    name: str, size: int, batch: int, frames: int, /, **options: object
) -> dict[str, Any]:
    """Returns the shapes of a model's inputs, for `jax.eval_shape` and `jit(...).lower`.

    They are `{stream: f32[B,T,s,s,3], …, "mask": bool[B,T]}`, with `flow f32[B,T-1,s,s,2]`, views
    `f32[B,T,s,s,c]` (s is that of the first stream) and `features f32[B,T,D]` if the model reads
    these.

    Args:
        name: Key of `MODELS`, or an import path.
        size: Side of the frames in pixels.
        batch: Number of clips.
        frames: Number of frames of a clip.
        options: Options of the model.

    Raises:
        UsageError: The model or an option is unknown.
    """
    merged = full_options(name, options)
    entry = find_entry(name)
    lead, sides, extras = (batch, frames), entry.streams(merged, size), entry.extras(merged)
    specs: dict[str, tuple[tuple[int, ...], Any]] = {
        stream: ((*lead, side, side, 3), jnp.float32) for stream, side in sides.items()
    }
    side = next(iter(sides.values()), size)
    if "flow" in extras:
        specs["flow"] = ((batch, frames - 1, side, side, 2), jnp.float32)
    for view in (name for name in extras if name in VIEWS):
        specs[view] = ((*lead, side, side, VIEWS[view].channels), jnp.float32)
    if "features" in extras:
        specs["features"] = ((*lead, merged["features"]), jnp.float32)
    specs["mask"] = (lead, jnp.bool_)
    return {key: jax.ShapeDtypeStruct(*spec) for key, spec in specs.items()}
