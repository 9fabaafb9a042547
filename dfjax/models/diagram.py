"""Architecture diagrams as SVG: boxes with shapes and parameter counts, from left to right."""

from html import escape

from dfjax.models.entry import Options, Summary
from dfjax.models.layouts import Node, place
from dfjax.models.registry import find_entry
from dfjax.outputs import COMMENT

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


def make_svg(title: str, name: str, options: Options, summary: Summary) -> str:
    """Returns the diagram of the model `name` as SVG text.

    Args:
        title: Title of the diagram.
        name: Key of `MODELS`, or an import path.
        options: Every option of the model.
        summary: Shapes and parameter counts of the model.

    Raises:
        UsageError: The model is unknown.
    """
    nodes, edges = place(find_entry(name).layout(options, summary))
    columns, rows = (max(getattr(n, axis) for n in nodes) for axis in ("column", "row"))
    width = 2 * MARGIN + (columns + 1) * BOX_WIDTH + columns * GAP_X
    height = 2 * MARGIN + TITLE_HEIGHT + (rows + 1) * BOX_HEIGHT + rows * GAP_Y
    subtitle = (
        f"{summary.parameters:,} parameters · {summary.statistics:,} running statistics · "
        f"{summary.flops / 1e9:.1f} GFLOPs a clip"
    )
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width:g} {height:g}' "
        f"width='{width:g}' height='{height:g}' {FONT}>",
        COMMENT,
        "<defs><marker id='tip' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='7' "
        "markerHeight='7' orient='auto'>"
        f"<path d='M0 0 L8 4 L0 8 z' fill='{LINE}'/></marker></defs>",
        f"<rect width='{width:g}' height='{height:g}' fill='white'/>",
        _text(MARGIN, MARGIN + 18, title, size=24, weight=700, anchor="start"),
        _text(MARGIN, MARGIN + 42, subtitle, size=13, colour=FAINT, anchor="start"),
        *(_edge(start, end) for start, end in edges),
        *(_box(node) for node in nodes),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _corner(node: Node) -> tuple[float, float]:
    x = MARGIN + node.column * (BOX_WIDTH + GAP_X)
    return x, MARGIN + TITLE_HEIGHT + node.row * (BOX_HEIGHT + GAP_Y)


def _box(node: Node) -> str:
    (x, y), box = _corner(node), node.box
    fill, border = COLOURS[box.kind]
    middle = x + BOX_WIDTH / 2
    top = y + (28 if box.params else 38)
    lines = [
        f"<rect x='{x:g}' y='{y:g}' width='{BOX_WIDTH:g}' height='{BOX_HEIGHT:g}' rx='10' "
        f"fill='{fill}' stroke='{border}' stroke-width='1.5'/>",
        _text(middle, top, box.title, size=14, weight=600),
        _text(middle, top + 20, box.shape, size=12, colour=INK),
    ]
    if box.params:
        lines.append(_text(middle, top + 39, f"{box.params:,}", size=12, colour=FAINT))
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
