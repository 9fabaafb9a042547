"""The options of `ClipDetector`: valid values, valid combinations, and the inputs they need."""

from collections.abc import Mapping
from typing import Any

from dfjax.errors import UsageError, unknown
from dfjax.models.backbones import backbone_channels, find_backbone
from dfjax.models.classifier import check_classifier
from dfjax.models.entry import BackbonePart
from dfjax.models.frequency import TRANSFORMS
from dfjax.models.fusion import JOINS
from dfjax.models.multiscale import LEVELS
from dfjax.models.recurrent import CELLS, check_cell
from dfjax.models.temporal_transformer import ACTIVATIONS, POSITIONS

CONV_LSTM = "conv_lstm"
RECURRENT = (*CELLS, CONV_LSTM)
TEMPORAL = (*RECURRENT, "transformer", "none")
POOLING = ("mean", "query", "attention", "last")
FREQUENCY = ("none", *TRANSFORMS)

NAMES = {
    "temporal": TEMPORAL,
    "pooling": POOLING,
    "positions": POSITIONS,
    "activation": ACTIVATIONS,
    "frequency": FREQUENCY,
    "join": JOINS,
}
"""Valid values of the options that are names."""

FRAME_OPTIONS = {"pyramid": 0, "spatial_attention": False, "scales": (), "frequency": "none"}
"""Options that need frames, with the values that turn them off."""


def check_options(options: Mapping[str, Any]) -> None:
    """Checks options that must be in a list of names or compatible with others.

    Raises:
        UsageError: A name is unknown, the cell does not have a variant, a width is not divisible by
            the number of heads, `layers` or `temperature` is not positive, the numbers of layers
            and dropout rates of the classifier differ, `scales` are not distinct sides, or an
            option has no effect in this combination.
    """
    for key, valid in NAMES.items():
        if options[key] not in valid:
            raise unknown(key, options[key], valid)
    name, *chosen = (options[key] for key in ("backbone", "padding", "bn"))
    backbone = find_backbone(name, *chosen, scan_blocks=options["scan_blocks"])
    if options["pyramid"] and backbone.patch > 1:
        raise UsageError(
            f"pyramid needs maps of {LEVELS} sizes, and {name} has those of its patches and its "
            "class token: set pyramid=0"
        )
    check_classifier(options["classifier"], options["dropout"])
    if options["layers"] < 1:
        raise UsageError(
            f"layers must be positive, not {options['layers']}; temporal=none turns the module off"
        )
    if options["temperature"] <= 0:
        raise UsageError(f"temperature must be positive, not {options['temperature']}")
    scales = options["scales"]
    if scales and (len(scales) < 2 or len(set(scales)) < len(scales) or min(scales) < 1):
        raise UsageError(f"scales must be two or more different sides of frames, not {scales}")
    _check_effects(options)
    _check_heads(options)


def _check_effects(options: Mapping[str, Any]) -> None:
    temporal = options["temporal"]
    used = [key for key, off in FRAME_OPTIONS.items() if options[key] != off]
    if options["features"] and (used or temporal == CONV_LSTM):
        what = ", ".join(used) or "temporal=conv_lstm"
        raise UsageError(f"{what} needs frames, and the model reads stored features")
    if temporal == CONV_LSTM:
        used = [
            key
            for key in (*FRAME_OPTIONS, "projection")
            if key != "spatial_attention" and options[key] != FRAME_OPTIONS.get(key, 0)
        ]
        if used:
            raise UsageError(
                f"temporal=conv_lstm reads the last maps, so {', '.join(used)} has no effect: "
                "leave it out"
            )
    variants = options["layer_norm"] or options["peephole"]
    if temporal in CELLS:
        check_cell(temporal, layer_norm=options["layer_norm"], peephole=options["peephole"])
    elif variants:
        raise UsageError("layer_norm and peephole are variants of the LSTM: set temporal=lstm")
    if temporal == "none" and (options["cross_attention"] or options["join"] != "none"):
        raise UsageError(
            "cross_attention and join combine states with features, and temporal=none has no states"
        )
    if options["dual_pathway"] and temporal not in RECURRENT:
        raise UsageError(
            "dual_pathway adds a Transformer parallel to a recurrence, and "
            f"temporal={temporal} is not recurrent"
        )


def _check_heads(options: Mapping[str, Any]) -> None:
    widths = []
    if options["temporal"] == "transformer" or options["dual_pathway"]:
        widths.append(frame_width(options))
    if options["self_attention"] or options["cross_attention"]:
        widths.append(state_width(options))
    for width in widths:
        if width % options["heads"]:
            raise UsageError(f"the width {width} is not divisible by {options['heads']} heads")


def frame_width(options: Mapping[str, Any]) -> int:
    """Returns the width of the vectors that the temporal module reads."""
    factor = options["width"]
    if options["projection"]:
        return scaled(options["projection"], factor)
    if options["features"]:
        return options["features"]
    width = backbone_channels(options["backbone"], factor)
    if options["pyramid"]:
        width = LEVELS * scaled(options["pyramid"], factor)
    if options["frequency"] != "none":
        width += scaled(options["frequency_channels"][-1], factor)
    return width


def state_width(options: Mapping[str, Any]) -> int:
    """Returns the width of the output of the temporal module for a frame."""
    if options["temporal"] not in RECURRENT:
        return frame_width(options)
    directions = 2 if options["bidirectional"] else 1
    return directions * scaled(options["hidden"], options["width"])


def find_backbones(options: Mapping[str, Any]) -> dict[str, BackbonePart]:
    """Returns the backbone of the frames; none with stored features."""
    if options["features"]:
        return {}
    name, padding, bn = (options[key] for key in ("backbone", "padding", "bn"))
    return {"rgb": BackbonePart("backbone", name, padding, bn)}


def find_streams(options: Mapping[str, Any], size: int) -> dict[str, int]:
    """Returns the sides of the image streams by name, in pixels; empty with stored features.

    Args:
        options: Options of the model.
        size: Side of the frames, which is not used with `scales`.
    """
    if options["features"]:
        return {}
    if not options["scales"]:
        return {"rgb": size}
    return dict(zip(stream_names(options["scales"]), sorted(options["scales"], reverse=True)))


def stream_names(scales: tuple[int, ...]) -> list[str]:
    """Returns the names of the image streams: `rgb`, and `rgb_224` … for each smaller scale."""
    return ["rgb", *(f"rgb_{scale}" for scale in sorted(scales, reverse=True)[1:])]


def find_extras(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the names of inputs besides frames: `features` with stored features."""
    return ("features",) if options["features"] else ()


def scaled(width: int, factor: float) -> int:
    """Returns a number of channels times the option `width`, at least 8."""
    return max(8, int(width * factor))
