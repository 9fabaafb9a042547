"""Prints a plan as tables."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

_ACCESSED = ("HBM and VMEM per clip", "bytes per clip without fusion")

RenderablePart = Table | Text | str


def describe_plan(plan: Mapping[str, Any]) -> Iterator[RenderablePart]:
    """Yields the parts of a plan for a console.

    Args:
        plan: Plan from `make_plan`.
    """
    yield Text(
        f"{plan['config']} on {plan['chips']} × {plan['chip']}, mesh {plan['mesh']}, "
        f"{plan['batch']} clips per step ({plan['source']})\n"
    )
    yield _make_figures(plan)
    if plan["collectives"]:
        yield _make_collectives(plan["collectives"])
    if plan["remat"]:
        yield _make_remat(plan["remat"])
    if plan["scaling"]:
        yield _make_scaling(plan)
    yield Text("\n".join(["", "Assumptions:", *(f"- {line}" for line in plan["assumptions"])]))
    for warning in plan["warnings"]:
        yield Text(f"! {warning}", style="yellow")


def _make_table(*titles: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for number, title in enumerate(titles):
        table.add_column(title, justify="left" if number == 0 else "right", no_wrap=True)
    return table


def _make_figures(plan: Mapping[str, Any]) -> Table:
    held, bounds = plan["bytes_per_chip"], plan["bounds_s"] or {}
    table = _make_table("per device", "")
    for name in ("params", "optimizer", "other", "batch", "temp", "total"):
        table.add_row(f"{name}, bytes", _scale(held[name], "B"))
    table.add_row("memory of the chip", _scale(plan["hbm_per_chip"], "B"))
    for name, title, unit in (
        ("flops_per_clip", "FLOPs per clip", "FLOP"),
        ("hbm_bytes_per_clip", "HBM per clip", "B"),
        ("bytes_accessed_per_clip", _ACCESSED[plan["fits"] is None], "B"),
        ("cycles_per_clip", "estimated cycles per clip", ""),
        ("text_cycles_per_clip", "with loops counted once", ""),
    ):
        table.add_row(title, _scale(plan[name], unit))
    waste = plan["padding_waste"]
    table.add_row("bytes with padding / without", f"{waste:.2f}" if waste else "–")
    for name, seconds in bounds.items():
        table.add_row(f"time by {name}", f"{1e3 * seconds:.3g} ms" if seconds else "–")
    if plan["predicted_step_s"]:
        table.add_row("predicted step", f"{1e3 * plan['predicted_step_s']:.3g} ms")
    return table


def _make_collectives(rows: list[dict[str, Any]]) -> Table:
    table = _make_table("collectives per step", "devices", "count", "bytes")
    for row in rows:
        table.add_row(row["kind"], str(row["group"]), str(row["count"]), _scale(row["bytes"], "B"))
    return table


def _make_remat(rows: list[dict[str, Any]]) -> Table:
    table = _make_table("remat", "temp", "total", "HBM per clip", "cycles per clip", "step")
    for row in rows:
        step = row["predicted_step_s"]
        table.add_row(
            row["policy"],
            "does not fit" if row["fits"] is False else _scale(row["temp"], "B"),
            _scale(row["total"], "B"),
            _scale(row["hbm_bytes_per_clip"], "B"),
            _scale(row["cycles_per_clip"], ""),
            f"{1e3 * step:.3g} ms" if step else "–",
        )
    return table


def _make_scaling(plan: Mapping[str, Any]) -> Table:
    table = _make_table("weak scaling (predicted)", "clips per step", "step", "efficiency")
    clips = plan["batch"] // plan["chips"]
    for row in plan["scaling"]:
        table.add_row(
            f"{row['chips']} chips",
            f"{clips * row['chips']:,}",
            f"{1e3 * row['step_s']:.3g} ms",
            f"{row['efficiency']:.0%}",
        )
    return table


def _scale(value: float | int | None, unit: str) -> str:
    """Returns a number with a decimal prefix, or a dash for None."""
    if value is None:
        return "–"
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g} {prefix}{unit}".rstrip()
    return f"{value:.3g} {unit}".rstrip()
