"""`MODELS`, and the two pure functions that every model is to the rest of the package."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Key

from dfjax.errors import unknown
from dfjax.models import clip_detector, clip_options, dual_stream, frame_classifier, two_stream
from dfjax.models.initializers import one_draw
from dfjax.models.layers import Compute
from dfjax.ops.lowering import resolve
from dfjax.shapes import Apply, Inputs, Logits, Variables

FRAMEWORK_FIELDS = ("parent", "name", "compute")


class ModelFns(NamedTuple):
    """A model: pure functions over plain nested dicts with string keys.

    Attributes:
        init: `init(rng, inputs) -> {"params": …, "batch_stats": …}`; only shapes of `inputs` count.
        apply: see `Apply`.
    """

    init: Callable[[Key[Array, ""], Inputs], Variables]
    apply: Apply


@dataclasses.dataclass(frozen=True)
class Entry:
    """A registered model.

    Attributes:
        module: Linen module `__call__(inputs, *, train) -> (logits, outputs)` with an attribute
            `compute`; its other attributes are the model's options.
        streams: `streams(options, size)` gives the side of every image stream, first one first.
        check: raises `UsageError` for options that contradict each other.
        extras: `extras(options)` names what it reads besides: `flow`, or `features`, stored ones
            that stand for all image streams and whose width is the option `features`.
    """

    module: type[nn.Module]
    streams: Callable[[Mapping[str, Any], int], dict[str, int]]
    check: Callable[[Mapping[str, Any]], None]
    extras: Callable[[Mapping[str, Any]], tuple[str, ...]] = lambda options: ()


def _dual_streams(options: Mapping[str, Any], size: int) -> dict[str, int]:
    return {name: size if name == "hq" else options["lq_size"] for name in options["streams"]}


def _rgb(options: Mapping[str, Any], size: int) -> dict[str, int]:
    del options
    return {"rgb": size}


def _flow(options: Mapping[str, Any]) -> tuple[str, ...]:
    return ("flow",) if options["flow"] else ()


MODELS = {
    "dual_stream": Entry(dual_stream.DualStream, _dual_streams, dual_stream.check_options, _flow),
    "two_stream": Entry(two_stream.TwoStream, _rgb, two_stream.check_options, _flow),
    "frame_classifier": Entry(
        frame_classifier.FrameClassifier, _rgb, frame_classifier.check_options
    ),
    "clip_detector": Entry(
        clip_detector.ClipDetector,
        clip_options.find_streams,
        clip_options.check_options,
        clip_options.find_extras,
    ),
}


def build(
    name: str, *, lowering: str = "auto", dtype: DTypeLike = jnp.float32, **options: object
) -> ModelFns:
    """Returns the model `name` as pure functions.

    Args:
        name: a key of `MODELS`.
        lowering: `auto`, `native` or `matmul`, resolved here and now.
        dtype: of the activations; parameters, statistics and logits are float32.
        options: attributes of the model's module; what is left out has its default.

    Raises:
        UsageError: an unknown name, option or lowering, or options that contradict each other.
    """
    module = make_module(name, lowering=lowering, dtype=dtype, **options)

    def init(rng: Key[Array, ""], inputs: Inputs) -> Variables:
        variables = one_draw(functools.partial(module.init, train=False), rng, inputs)
        return {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}

    def apply(
        variables: Variables, inputs: Inputs, *, train: bool, rngs: Mapping[str, Array] | None
    ) -> tuple[Logits, dict[str, Array], Mapping[str, Any]]:
        if not train:
            result: Any = module.apply(variables, inputs, train=False, rngs=dict(rngs or {}))
            return *result, variables["batch_stats"]
        result, new = module.apply(
            variables, inputs, train=True, rngs=dict(rngs or {}), mutable=["batch_stats"]
        )
        logits, outputs = result
        return logits, outputs, new.get("batch_stats", {})

    return ModelFns(init, apply)


def make_module(
    name: str, *, lowering: str = "auto", dtype: DTypeLike = jnp.float32, **options: object
) -> nn.Module:
    """Returns the Linen module behind `build`, for looking into; arguments as there.

    Raises:
        UsageError: an unknown name, option or lowering, or options that contradict each other.
    """
    merged = full_options(name, options)
    return MODELS[name].module(**merged, compute=Compute(dtype, resolve(lowering)))


def input_streams(name: str, size: int, **options: object) -> dict[str, int]:
    """Returns the side of every image stream that `name` reads when frames are `size` px.

    The first stream is the clip itself, the others are down-sampled from it:
    `{"hq": 224, "lq": 112}`.

    Raises:
        UsageError: an unknown model or option.
    """
    merged = full_options(name, options)
    return MODELS[name].streams(merged, size)


def input_extras(name: str, **options: object) -> tuple[str, ...]:
    """Returns what `name` reads besides image streams and mask: `flow`, `features`.

    Raises:
        UsageError: an unknown model or option.
    """
    merged = full_options(name, options)
    return MODELS[name].extras(merged)


def input_shapes(
    name: str, size: int, batch: int, frames: int, **options: object
) -> dict[str, Any]:
    """Returns the shapes of a model's inputs, for `jax.eval_shape` and `jit(...).lower`.

    `{stream: f32[B,T,s,s,3], …, "mask": bool[B,T]}`, and of `flow f32[B,T-1,s,s,2]` (s of the first
    stream) and `features f32[B,T,D]` what the model reads.

    Args:
        name: a key of `MODELS`.
        size: side of the frames, pixels.
        batch: clips.
        frames: of a clip.
        options: of the model.

    Raises:
        UsageError: an unknown model or option.
    """
    merged = full_options(name, options)
    extras = MODELS[name].extras(merged)
    lead, sides = (batch, frames), MODELS[name].streams(merged, size)
    specs: dict[str, tuple[tuple[int, ...], Any]] = {
        stream: ((*lead, side, side, 3), jnp.float32) for stream, side in sides.items()
    }
    if "flow" in extras:
        side = next(iter(sides.values()))
        specs["flow"] = ((batch, frames - 1, side, side, 2), jnp.float32)
    if "features" in extras:
        specs["features"] = ((*lead, merged["features"]), jnp.float32)
    specs["mask"] = (lead, jnp.bool_)
    return {key: jax.ShapeDtypeStruct(*spec) for key, spec in specs.items()}


def full_options(name: str, options: Mapping[str, object]) -> dict[str, Any]:
    """Returns every option of the model `name`: its defaults, replaced by `options`.

    Raises:
        UsageError: an unknown name or option, or options that contradict each other.
    """
    if name not in MODELS:
        raise unknown("model", name, MODELS)
    entry = MODELS[name]
    fields = {field.name: field.default for field in dataclasses.fields(entry.module)}
    defaults = {key: value for key, value in fields.items() if key not in FRAMEWORK_FIELDS}
    for key in options:
        if key not in defaults:
            raise unknown(f"option of {name}", key, defaults)
    merged = defaults | {
        key: tuple(value) if isinstance(value, list) else value for key, value in options.items()
    }
    entry.check(merged)
    return merged
