"""Architecture diagrams as SVG: boxes with shapes and parameters, the flow from left to right."""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from dfjax.errors import unknown
from dfjax.models.summary import Summary

BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y, MARGIN = 176.0, 84.0, 54.0, 34.0, 36.0
TITLE_HEIGHT = 64.0

# kind: (fill, border)
COLOURS = {
    "data": ("#f1f5f9", "#94a3b8"),
    "backbone": ("#dbeafe", "#3b82f6"),
    "temporal": ("#dcfce7", "#22c55e"),
    "fusion": ("#fef3c7", "#f59e0b"),
    "head": ("#fce7f3", "#ec4899"),
}
INK, FAINT, LINE = "#0f172a", "#64748b", "#94a3b8"
FONT = "font-family='Inter, Helvetica, Arial, DejaVu Sans, sans-serif'"


@dataclasses.dataclass(frozen=True)
class Node:
    """A box of a diagram.

    Attributes:
        key: what edges call it.
        title: first line.
        shape: what comes out of it.
        params: parameters, 0 to show none.
        kind: key of `COLOURS`.
        column: place from left to right.
        row: place from top to bottom; halves are fine.
    """

    key: str
    title: str
    shape: str
    params: int
    kind: str
    column: int
    row: float


Edges = Sequence[tuple[str, str]]


def make_svg(title: str, name: str, options: Mapping[str, Any], summary: Summary) -> str:
    """Returns the diagram of the model `name` as SVG text.

    Args:
        title: heading, the name of the config.
        name: key of `LAYOUTS`.
        options: every option of the model.
        summary: its shapes and parameters.

    Raises:
        UsageError: the model has no layout.
    """
    if name not in LAYOUTS:
        raise unknown("diagram", name, LAYOUTS)
    nodes, edges = LAYOUTS[name](options, summary)
    columns, rows = (max(getattr(n, axis) for n in nodes) for axis in ("column", "row"))
    width = 2 * MARGIN + (columns + 1) * BOX_WIDTH + columns * GAP_X
    height = 2 * MARGIN + TITLE_HEIGHT + (rows + 1) * BOX_HEIGHT + rows * GAP_Y
    subtitle = (
        f"{summary.parameters:,} parameters · {summary.statistics:,} running statistics · "
        f"{summary.flops / 1e9:.1f} GFLOPs a clip"
    )
    places = {node.key: node for node in nodes}
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width:g} {height:g}' "
        f"width='{width:g}' height='{height:g}' {FONT}>",
        "<defs><marker id='tip' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='7' "
        "markerHeight='7' orient='auto'>"
        f"<path d='M0 0 L8 4 L0 8 z' fill='{LINE}'/></marker></defs>",
        f"<rect width='{width:g}' height='{height:g}' fill='white'/>",
        _text(MARGIN, MARGIN + 18, title, size=24, weight=700, anchor="start"),
        _text(MARGIN, MARGIN + 42, subtitle, size=13, colour=FAINT, anchor="start"),
        *(_edge(places[a], places[b]) for a, b in edges),
        *(_box(node) for node in nodes),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _corner(node: Node) -> tuple[float, float]:
    x = MARGIN + node.column * (BOX_WIDTH + GAP_X)
    return x, MARGIN + TITLE_HEIGHT + node.row * (BOX_HEIGHT + GAP_Y)


def _box(node: Node) -> str:
    x, y = _corner(node)
    fill, border = COLOURS[node.kind]
    middle = x + BOX_WIDTH / 2
    top = y + (28 if node.params else 38)
    lines = [
        f"<rect x='{x:g}' y='{y:g}' width='{BOX_WIDTH:g}' height='{BOX_HEIGHT:g}' rx='10' "
        f"fill='{fill}' stroke='{border}' stroke-width='1.5'/>",
        _text(middle, top, node.title, size=14, weight=600),
        _text(middle, top + 20, node.shape, size=12, colour=INK),
    ]
    if node.params:
        lines.append(_text(middle, top + 39, f"{node.params:,}", size=12, colour=FAINT))
    return "\n".join(lines)


def _edge(start: Node, end: Node) -> str:
    (x1, y1), (x2, y2) = _corner(start), _corner(end)
    x1, y1, y2 = x1 + BOX_WIDTH, y1 + BOX_HEIGHT / 2, y2 + BOX_HEIGHT / 2
    bend = (x2 - x1) / 2
    path = f"M{x1:g} {y1:g} C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2 - 2:g} {y2:g}"
    return (
        f"<path d='{path}' fill='none' stroke='{LINE}' stroke-width='1.6' marker-end='url(#tip)'/>"
    )


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int,
    weight: int = 400,
    colour: str = INK,
    anchor: str = "middle",
) -> str:
    return (
        f"<text x='{x:g}' y='{y:g}' font-size='{size}' font-weight='{weight}' fill='{colour}' "
        f"text-anchor='{anchor}'>{escape(text)}</text>"
    )


def _dual_stream(options: Mapping[str, Any], summary: Summary) -> tuple[list[Node], Edges]:
    streams = options["streams"]
    rows = {name: float(row) for row, name in enumerate(streams)} if len(streams) == 2 else {}
    centre = 0.5
    nodes: list[Node] = []
    edges: list[tuple[str, str]] = []
    for name in streams:
        row = rows.get(name, centre)
        nodes += [
            Node(name, f"{name.upper()} frames", _dims(summary.input[name]), 0, "data", 0, row),
            Node(
                f"{name}_backbone",
                _network(options[name]),
                _dims((1, *summary.shapes[f"{name}_backbone"])),
                summary.parts[f"{name}_backbone"],
                "backbone",
                1,
                row,
            ),
        ]
        edges.append((name, f"{name}_backbone"))
    temporal, lstm_edges = _temporal(options, summary)
    fusion = _parameters(summary, "hq_projection", "lq_projection", "attention")
    title = "Attention fusion" if len(streams) == 2 else "Mean over frames"
    hidden = [shape[-1] for key, shape in summary.shapes.items() if "classifier_hidden" in key]
    widths = " → ".join(map(str, [*hidden, 1]))
    last = temporal[-1].column
    nodes += [
        Node("fusion", title, "mean over valid frames", fusion, "fusion", 2, 0.0),
        *temporal,
        Node("classifier", "Classifier", widths,
             _parameters(summary, "classifier"), "head", last + 1, centre),
        Node("logit", "fake logit", "one a clip", 0, "data", last + 2, centre),
    ]  # fmt: skip
    for name in streams:
        edges += [(f"{name}_backbone", "fusion"), (f"{name}_backbone", "conv_lstm1")]
    edges += [
        *lstm_edges,
        ("fusion", "classifier"),
        (temporal[-1].key, "classifier"),
        ("classifier", "logit"),
    ]
    return nodes, edges


def _frame_classifier(options: Mapping[str, Any], summary: Summary) -> tuple[list[Node], Edges]:
    hidden = [
        shape[-1] for key, shape in summary.shapes.items() if re.fullmatch("hidden[0-9]+", key)
    ]
    widths = " → ".join(map(str, [*hidden, options["classes"]]))
    head = summary.parameters - summary.parts["backbone"]
    nodes = [
        Node("rgb", "Frames", _dims(summary.input["rgb"]), 0, "data", 0, 0.0),
        Node(
            "backbone",
            _network(options["backbone"]),
            _dims((1, *summary.shapes["backbone"])),
            summary.parts["backbone"],
            "backbone",
            1,
            0.0,
        ),
        Node("pooled", "Mean over the map", "one vector a frame", 0, "fusion", 2, 0.0),
        Node("head", "Head", widths, head, "head", 3, 0.0),
        Node("logit", "fake logit", "mean over valid frames", 0, "data", 4, 0.0),
    ]
    keys = [node.key for node in nodes]
    return nodes, list(zip(keys, keys[1:]))


def _network(backbone: str) -> str:
    """The name of a backbone as its authors write it."""
    if re.fullmatch("b[0-7]", backbone):
        return f"EfficientNet-{backbone.upper()}"
    return {"v2s": "EfficientNetV2-S", "xception": "Xception"}.get(
        backbone, backbone.replace("resnet", "ResNet")
    )


def _temporal(options: Mapping[str, Any], summary: Summary) -> tuple[list[Node], Edges]:
    keys = [f"conv_lstm{number}" for number in range(1, len(options["conv_lstm"]) + 1)]
    nodes = [
        Node(key, f"ConvLSTM {n}", _dims(summary.shapes[key]), summary.parts[key], "temporal",
             1 + n, 1.0)
        for n, key in enumerate(keys, 1)
    ]  # fmt: skip
    return nodes, list(zip(keys, keys[1:]))


def _parameters(summary: Summary, *prefixes: str) -> int:
    return sum(size for part, size in summary.parts.items() if part.startswith(prefixes))


def _dims(shape: tuple[int, ...]) -> str:
    """A shape without its batch axis: `10 × 7 × 7 × 1792`."""
    return " × ".join(map(str, shape[1:]))


LAYOUTS: dict[str, Callable[[Mapping[str, Any], Summary], tuple[list[Node], Edges]]] = {
    "dual_stream": _dual_stream,
    "frame_classifier": _frame_classifier,
}
