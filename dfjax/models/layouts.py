"""Diagram layouts: the boxes in the diagram of a model, and their positions.

A layout is a row of blocks from left to right. A block consists of one or more chains of boxes, one
below the other. Arrows lead from the end of every chain to the start of every chain in the next
block.
"""

import dataclasses
import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

from dfjax.models.entry import ADAPTERS, Block, Box, Options, Summary
from dfjax.models.vit_variants import VARIANTS

STREAMS = {"rgb": "Frames", "srm": "SRM residual", "phase": "Phase"}
"""Titles of the streams of `frame_classifier`."""


class Node(NamedTuple):
    """A box with its position: `column` from the left, `row` from the top (a multiple of 1/2)."""

    box: Box
    column: int
    row: float


def place(blocks: Sequence[Block]) -> tuple[list[Node], list[tuple[Node, Node]]]:
    """Returns the boxes of `blocks` with their positions, and the pairs connected by arrows."""
    rows = max(len(block) for block in blocks)
    nodes: list[Node] = []
    edges: list[tuple[Node, Node]] = []
    column, ends = 0, list[Node]()
    for block in blocks:
        chains = [
            [Node(box, column + i, (rows - len(block)) / 2 + row) for i, box in enumerate(chain)]
            for row, chain in enumerate(block)
        ]
        for chain in chains:
            nodes += chain
            edges += [(end, chain[0]) for end in ends] + list(itertools.pairwise(chain))
        column += max(map(len, chains))
        ends = [chain[-1] for chain in chains]
    return nodes, edges


def lay_out_dual_stream(options: Options, summary: Summary) -> list[Block]:
    """Returns the blocks of the diagram of `dual_stream`."""
    streams = [
        [
            Box(name, f"{name.upper()} frames", _dims(summary.input[name]), 0, "data"),
            _part(summary, f"{name}_backbone", _network(options[name]), "backbone"),
        ]
        for name in options["streams"]
    ]
    if options["flow"]:
        streams.append(_flow(summary))
    title = "Attention fusion" if len(streams) > 1 else "Mean over frames"
    names = [key for key in summary.parts if re.search("_projection$|^attention", key)]
    fusion = sum(summary.parts[name] for name in names)
    return [
        streams,
        [
            [Box("fusion", title, "mean over valid frames", fusion, "fusion")],
            _conv_lstms(summary, "conv_lstm"),
        ],
        _heads(summary),
    ]


def lay_out_two_stream(options: Options, summary: Summary) -> list[Block]:
    """Returns the blocks of the diagram of `two_stream`."""
    name = options["backbone"]
    streams = [
        [
            Box("rgb", "Frames", _dims(summary.input["rgb"]), 0, "data"),
            _part(summary, name.rpartition(":")[2], _network(name), "backbone"),
            *_conv_lstms(summary, "conv_lstm"),
        ]
    ]
    if options["flow"]:
        streams.append([*_flow(summary), *_conv_lstms(summary, "flow_conv_lstm")])
    attention = _part(summary, "attention", "Temporal attention", "fusion")
    return [streams, [[attention]], _heads(summary)]


def lay_out_frame_classifier(options: Options, summary: Summary) -> list[Block]:
    """Returns the blocks of the diagram of `frame_classifier`."""
    hidden = [
        shape[-1] for key, shape in summary.shapes.items() if re.fullmatch("hidden[0-9]+", key)
    ]
    widths = " → ".join(map(str, [*hidden, options["classes"]]))
    embedding = _embedding(summary)
    backbone = _part(summary, "backbone", _network(options["backbone"]), "backbone")
    adapted = dataclasses.replace(backbone, params=backbone.params + summary.parts.get(ADAPTERS, 0))
    head = summary.parameters - adapted.params - sum(box.params for box in embedding)
    inputs = [
        [Box(name, STREAMS[name], _dims(summary.input[name]), 0, "data")]
        for name in options["streams"]
    ]
    chain = [
        adapted,
        Box("pooled", "Mean over the map", "one vector per frame", 0, "fusion"),
    ]
    scores = [
        Box("head", "Head", widths, head, "head"),
        Box("logit", "fake logit", "mean over valid frames", 0, "data"),
    ]
    rest = [part for part in (scores, embedding) if part]
    if len(inputs) == 1:
        return [[inputs[0] + chain], rest]
    return [inputs, [chain], rest]


def lay_out_clip_detector(options: Options, summary: Summary) -> list[Block]:
    """Returns the blocks of the diagram of `clip_detector`."""
    title = "Stored features" if options["features"] else "Frames"
    inputs = [[Box(key, title, _dims(shape), 0, "data")] for key, shape in summary.input.items()]
    titles = {
        "backbone": (_network(options["backbone"]), "backbone"),
        "spatial": ("Spatial attention", "fusion"),
        "pyramid": ("Feature pyramid", "fusion"),
        "scales": ("Attention over scales", "fusion"),
        "frequency": (options["frequency"].upper(), "backbone"),
        "projection": ("Projection", "fusion"),
        "positions": ("Positions", "temporal"),
        "recurrent": (options["temporal"].upper(), "temporal"),
        "conv_recurrent": ("ConvLSTM", "temporal"),
        "encoder": ("Transformer", "temporal"),
        "cross": ("Cross-attention", "temporal"),
        "self": ("Self-attention", "temporal"),
        "join": (f"Join: {options['join']}", "fusion"),
        "encoder_projection": ("Projection", "fusion"),
        "encoder_pooling": ("Attention over frames", "fusion"),
    }

    def chain(*keys: str) -> list[Box]:
        return [_part(summary, key, *titles[key]) for key in keys if key in summary.parts]

    pooling = Box(
        "pooling", f"Pooling: {options['pooling']}", "over frames",
        summary.parts.get("pooling", 0), "fusion",
    )  # fmt: skip
    encoders = [chain("backbone", "spatial", "pyramid", "scales"), chain("frequency")]
    transformer = chain("positions", "encoder")
    recurrent = chain("recurrent", "conv_recurrent")
    last = [*chain("cross", "self", "join"), pooling]
    pathways = [[*recurrent, *transformer, *last]]
    mixing: list[Box] = []
    if options["dual_pathway"]:
        second = [*transformer, *chain("encoder_projection", "encoder_pooling")]
        pathways = [[*recurrent, *last], second]
        weights = [key for key in summary.parts if key.startswith("pathway_")]
        params = sum(summary.parts[key] for key in weights)
        mixing = [Box("pathways", "Weights of the pathways", "per clip", params, "fusion")]
    blocks = [inputs, encoders, [chain("projection")], pathways, [mixing], _heads(summary)]
    return [filled for block in blocks if (filled := [part for part in block if part])]


def lay_out_mesonet(options: Options, summary: Summary) -> list[Block]:
    """Returns the blocks of the diagrams of `meso4` and `mesoinception4`."""
    chain = [Box("rgb", "Frames", _dims(summary.input["rgb"]), 0, "data")]
    for number in range(1, 5):
        key = f"inception{number}" if f"inception{number}" in summary.parts else f"conv{number}"
        params = summary.parts[key] + summary.parts[f"bn{number}"]
        title = "Inception" if key.startswith("inception") else "Convolution"
        shape = (1, *summary.shapes[key])
        chain.append(Box(key, f"{title} {number}", _dims(shape), params, "backbone"))
    head = summary.parts["hidden"] + summary.parts["logits"]
    widths = f"{summary.shapes['hidden'][-1]} → {options['classes']}"
    scores = [
        Box("head", "Head", widths, head, "head"),
        Box("logit", "fake logit", "mean over valid frames", 0, "data"),
    ]
    return [[chain], [scores]]


def lay_out_unet(options: Options, summary: Summary) -> list[Block]:
    """Returns the blocks of the diagram of `unet`."""
    del options
    levels = sorted(key for key in summary.parts if key.startswith("down"))
    encoder = [_part(summary, key, f"Encoder {key[4:]}", "backbone") for key in levels]
    ups = sorted((key for key in summary.parts if key.startswith("up")), reverse=True)
    decoder = [_part(summary, key, f"Decoder {key[2:]}", "backbone") for key in ups]
    frames = _dims(summary.input["rgb"])
    last = [
        Box("colours", "Colours", "3 channels", summary.parts["rgb"], "head"),
        Box("restored", "restored frames", frames, 0, "data"),
    ]
    first = Box("source", "Frames", frames, 0, "data")
    return [[[first, *encoder]], [[*_conv_lstms(summary, "conv_lstm"), *decoder]], [last]]


def lay_out_patch_gan(options: Options, summary: Summary) -> list[Block]:
    """Returns the blocks of the diagram of `patch_gan`."""
    del options
    keys = sorted(key for key in summary.parts if key.startswith("conv"))
    layers = [_part(summary, key, f"Convolution {key[4:]}", "backbone") for key in keys]
    scores = [
        _part(summary, "logits", "One logit per patch", "backbone"),
        Box("logit", "fake logit", "mean over valid frames", 0, "data"),
    ]
    frames = Box("rgb", "Frames", _dims(summary.input["rgb"]), 0, "data")
    return [[[frames, *layers]], [scores]]


def lay_out_parts(options: Options, summary: Summary) -> list[Block]:
    """Returns the default layout of a model: its parts in one chain."""
    del options
    inputs = [[Box(key, key, _dims(shape), 0, "data")] for key, shape in summary.input.items()]
    parts = [_part(summary, key, key, "backbone") for key in summary.parts]
    return [inputs, [[*parts, Box("logit", "fake logit", "one per clip", 0, "data")]]]


def _flow(summary: Summary) -> list[Box]:
    return [
        Box("flow", "Optical flow", _dims(summary.input["flow"]), 0, "data"),
        _part(summary, "flow_cnn", "Convolutions", "backbone"),
    ]


def _conv_lstms(summary: Summary, prefix: str) -> list[Box]:
    keys = sorted(key for key in summary.parts if re.fullmatch(f"{prefix}[0-9]+", key))
    return [
        _part(summary, key, f"ConvLSTM {number}", "temporal") for number, key in enumerate(keys, 1)
    ]


def _heads(summary: Summary) -> Block:
    """Returns a chain of the classifier (one box) and the logit, and one of the projection head."""
    parts = sorted(key for key in summary.parts if key.startswith("classifier_"))
    widths = " → ".join(str(summary.shapes[key][-1]) for key in parts)
    params = sum(summary.parts[key] for key in parts)
    classifier = [
        Box("classifier", "Classifier", widths, params, "head"),
        Box("logit", "fake logit", "one per clip", 0, "data"),
    ]
    return [part for part in (classifier, _embedding(summary)) if part]


def _embedding(summary: Summary) -> list[Box]:
    """Returns the layers of `embedding` as one box, or no box if the model has none."""
    parts = [key for key in summary.parts if key.startswith("embedding_")]
    shape = _dims(summary.shapes["embedding_output"]) if parts else ""
    params = sum(summary.parts[key] for key in parts)
    return [Box("embedding", "Projection head", shape, params, "head")] if parts else []


def _part(summary: Summary, key: str, title: str, kind: str) -> Box:
    """Returns the box of a part; the batch axis of the maps of a backbone is the frames."""
    shape = summary.shapes.get(key, ())
    shape = (1, *shape) if kind == "backbone" and len(shape) == 4 else shape
    return Box(key, title, _dims(shape), summary.parts[key], kind)


def _network(backbone: str) -> str:
    """Returns the published name of a backbone, or the name of the class of an import path."""
    backbone = backbone.rpartition(":")[2]
    if re.fullmatch("b[0-7]|lite[0-2]", backbone):
        return f"EfficientNet-{backbone.capitalize()}"
    if backbone in VARIANTS:
        family, size, *rest = backbone.split("_")
        family = {"clip": "CLIP", "dinov2": "DINOv2", "dinov3": "DINOv3"}[family]
        return " ".join([family, f"ViT-{size[0].upper()}/{size[1:]}", *rest])
    return {"v2s": "EfficientNetV2-S", "xception": "Xception", "vgg16": "VGG16"}.get(
        backbone, backbone.replace("resnet", "ResNet")
    )


def _dims(shape: tuple[int, ...]) -> str:
    """Returns a shape without its batch axis as text: `10 × 7 × 7 × 1792`."""
    return " × ".join(map(str, shape[1:]))
