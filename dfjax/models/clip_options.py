"""The options of `ClipDetector`: their valid values, how they combine, and the inputs they need."""

from collections.abc import Mapping
from typing import Any

from dfjax.errors import UsageError, unknown
from dfjax.models.backbones import backbone_channels, find_backbone
from dfjax.models.classifier import check_classifier
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

OF_MAPS = {"pyramid": 0, "spatial_attention": False, "scales": (), "frequency": "none"}
"""Options that need frames, and the values that switch them off."""


def check_options(options: Mapping[str, Any]) -> None:
    """Checks the options that only make sense together or from a list.

    Raises:
        UsageError: An unknown name; a variant that the cell does not have; heads that do not divide
            the width; no layer; a temperature that is not positive; not one dropout rate per layer
            of the classifier; scales that are not sides of frames; or an option that would have no
            effect beside the others.
    """
    for key, valid in NAMES.items():
        if options[key] not in valid:
            raise unknown(key, options[key], valid)
    find_backbone(options["backbone"], options["padding"])
    check_classifier(options["classifier"], options["dropout"])
    if options["layers"] < 1:
        raise UsageError(f"layers is {options['layers']}; temporal=none leaves the module out")
    if options["temperature"] <= 0:
        raise UsageError(f"temperature must be positive, not {options['temperature']}")
    scales = options["scales"]
    if scales and (len(scales) < 2 or len(set(scales)) < len(scales) or min(scales) < 1):
        raise UsageError(f"scales are two or more different sides of frames, not {scales}")
    _check_effects(options)
    _check_heads(options)


def _check_effects(options: Mapping[str, Any]) -> None:
    temporal = options["temporal"]
    used = [key for key, off in OF_MAPS.items() if options[key] != off]
    if options["features"] and (used or temporal == CONV_LSTM):
        what = ", ".join(used) or "temporal=conv_lstm"
        raise UsageError(f"stored features have no maps: {what} needs frames")
    if temporal == CONV_LSTM:
        used = [
            key
            for key in (*OF_MAPS, "projection")
            if key != "spatial_attention" and options[key] != OF_MAPS.get(key, 0)
        ]
        if used:
            raise UsageError(f"temporal=conv_lstm reads the last map: leave out {', '.join(used)}")
    variants = options["layer_norm"] or options["peephole"]
    if temporal in CELLS:
        check_cell(temporal, layer_norm=options["layer_norm"], peephole=options["peephole"])
    elif variants:
        raise UsageError("layer_norm and peephole are variants of the LSTM: set temporal=lstm")
    if temporal == "none" and (options["cross_attention"] or options["join"] != "none"):
        raise UsageError(
            "cross_attention and join combine states with frames: temporal=none has no states"
        )
    if options["dual_pathway"] and temporal not in RECURRENT:
        raise UsageError(
            f"dual_pathway sets a Transformer beside a recurrence, temporal={temporal} is none"
        )


def _check_heads(options: Mapping[str, Any]) -> None:
    widths = []
    if options["temporal"] == "transformer" or options["dual_pathway"]:
        widths.append(frame_width(options))
    if options["self_attention"] or options["cross_attention"]:
        widths.append(state_width(options))
    for width in widths:
        if width % options["heads"]:
            raise UsageError(f"{options['heads']} heads do not divide the width {width}")


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
    """Returns the width of what the temporal module gives for every frame."""
    if options["temporal"] not in RECURRENT:
        return frame_width(options)
    directions = 2 if options["bidirectional"] else 1
    return directions * scaled(options["hidden"], options["width"])


def find_streams(options: Mapping[str, Any], size: int) -> dict[str, int]:
    """Returns the sides of the image streams, of which there are none with stored features.

    With `scales` these are the sides, the largest one first, whatever `size` says.
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
    """Returns `features` where they are read in place of frames."""
    return ("features",) if options["features"] else ()


def scaled(width: int, factor: float) -> int:
    """Returns `width` times the model's `width`, at least 8."""
    return max(8, int(width * factor))
