"""One page of HTML on what `measure_all` has measured, and on the machine."""

import contextlib
import importlib.metadata
import math
import os
import platform
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dfjax
from dfjax.bench import augmentation, faces, reading, verdicts
from dfjax.bench.environment import MachineChecks, name_processor
from dfjax.bench.rows import format_rate
from dfjax.bench.suite import find_unreached, name_run
from dfjax.evaluation.charts.markup import (
    Html,
    format_number,
    make_figure,
    make_grid,
    make_note,
    make_pairs,
    make_table,
    make_tiles,
    tag,
)
from dfjax.evaluation.charts.page import Section, make_page, write_page
from dfjax.evaluation.charts.svg import COLOURS, REFERENCE, Plot, Stroke

Row = Mapping[str, Any]

PARTS = ("devices", "resources", "versions")
"""Parts of the machine's checks that the page has."""

ALONE = (augmentation.WORKLOAD, reading.WORKLOAD, faces.WORKLOAD, verdicts.WORKLOAD)
"""Workloads that have a section of their own."""

RATIOS = {
    "ratio": "torch",
    "ratio_plain": "plain torch",
    "ratio_compiled": "torch.compile",
}
COMPARED = (
    "A dot is PyTorch's time for a step divided by the time of dfjax on this machine: right of 1, "
    "dfjax is faster. Steps of the two alternate, each in a process of its own. torch has the "
    "memory settings of our process; plain torch has its own. two_stream and defake have no "
    "equivalent in PyTorch here."
)
EXPLAINED = (
    "An item is an image for b0, b4 and unet, and a clip for the others. Times are medians of the "
    "timed steps, CPU is user and system time of all threads, and memory is that of the arguments "
    "and temporaries of the compiled step. convlstm has maps of 7 × 7 with 1,792 channels, and "
    "transformer_head has vectors of 1,280 values per frame. Compilation takes no time where the "
    "cache of JAX (JAX_COMPILATION_CACHE_DIR) has the program."
)


BUSY = 0.2  # cores used by other programs from which on the page warns
CONTENDED = (
    "a step waits for the slowest of its threads, so the times and the ratios are not those of a "
    "free machine."
)


def write_bench(path: str | os.PathLike[str], rows: Sequence[Row], machine: MachineChecks) -> None:
    """Writes the page of the rows of a benchmark.

    Args:
        path: File to write.
        rows: Rows of `measure_all`; those that are missing are named as not reached.
        machine: Checks of the machine that they were measured on.
    """
    details = {check.name: check.detail for check in machine.checks}
    lead = (
        f"Measured on {time.strftime('%Y-%m-%d')} on {details.get('jax', 'unknown devices')}, "
        f"{details.get('cores', '?')} cores, with dfjax {dfjax.__version__}."
    )
    failed = [row for row in rows if "error" in row]
    found = {
        name: [r for r in rows if r["workload"] == name and "error" not in r] for name in ALONE
    }
    steps = [row for row in rows if row["workload"] not in ALONE and "error" not in row]
    predictions, detectors = found[verdicts.WORKLOAD], found[faces.WORKLOAD]
    sections = [
        Section("notes", "Read this first", list(_notes(rows, failed))),
        Section("summary", "In short", _summarize(steps, found)),
        Section("steps", "Steps of the networks", list(_steps(steps))),
        Section("predict", "From a video to a verdict", _show(predictions, _predict)),
        Section("augment", "Augmentation", _show(found[augmentation.WORKLOAD], _augment)),
        Section("input", "Reading clips", _show(found[reading.WORKLOAD], _read)),
        Section("faces", "Face detectors", list(_detectors(detectors, machine))),
        Section("machine", "Machine", [make_pairs(_describe(machine))]),
    ]
    write_page(path, make_page("Speed and memory of dfjax", lead, sections, foot=FOOT))


FOOT = "The verb bench with the workload all makes this page; its help explains the figures."


def _describe(machine: MachineChecks) -> dict[str, str]:
    """Returns the processor, the system, and the machine's checks by their names."""
    described = {"processor": name_processor(), "system": platform.platform()}
    for part in PARTS:
        described |= {check.name: check.detail for check in machine.checks if check.part == part}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        described["torch"] = importlib.metadata.version("torch")
    return described


def _notes(rows: Sequence[Row], failed: Sequence[Row]) -> Iterator[Html]:
    """Yields what was not measured, and why, and what makes the figures doubtful."""
    for row in failed:
        yield make_note("warning", f"{name_run(row)}:", row["error"])
    unreached = find_unreached(rows)
    if unreached:
        yield make_note("warning", "interrupted before:", ", ".join(unreached))
    load = max((row.get("other_cores") or 0.0 for row in rows), default=0.0)
    if load >= BUSY:
        yield make_note(
            "warning", f"up to {load:.1f} cores were used by other programs:", CONTENDED
        )
    uncompared = {row["uncompared"] for row in rows if "uncompared" in row}
    for reason in sorted(uncompared):
        yield make_note("info", "no ratios to PyTorch:", reason)


def _summarize(steps: Sequence[Row], found: Mapping[str, Sequence[Row]]) -> list[Html]:
    """Returns the figures that a reader asks for first, as far as they were measured."""
    tiles: dict[str, tuple[Any, Any]] = {}
    for mode, name in (("infer", "inference"), ("train", "training")):
        ratios = [row["ratio"] for row in steps if "ratio" in row and row["mode"] == mode]
        if ratios:
            spread = f"{min(ratios):.2f} to {max(ratios):.2f}, {len(ratios)} networks"
            number = f"{statistics.geometric_mean(ratios):.2f} ×"
            tiles[f"{name}: times PyTorch's speed"] = (number, f"geometric mean; {spread}")
    for row in found[verdicts.WORKLOAD]:
        tiles["from a video to a verdict"] = (f"{row['p50_s']:.2f} s", row["detector"])
    for row in found[reading.WORKLOAD]:
        number = f"{format_rate(row['items_per_s'])} / s"
        tiles["clips read"] = (number, f"{row['ratio']:.2f} × the speed of PNG files")
    return [make_tiles(tiles)] if tiles else []


def _show(rows: Sequence[Row], draw: Any) -> list[Html]:
    return [part for row in rows for part in draw(row)]


def _steps(rows: Sequence[Row]) -> Iterator[Html]:
    """Yields the chart of the ratios, where there are any, and the table of the steps."""
    if not rows:
        return
    compared = [row for row in rows if "ratio" in row]
    if compared:
        chart = make_figure("Times the speed of PyTorch", _draw_ratios(compared), double=True)
        notes = (tag("p", text, class_="quiet") for text in (COMPARED, EXPLAINED))
        yield make_grid([chart, make_figure("How to read it", *notes)])
    else:
        yield tag("p", EXPLAINED, class_="quiet")
    names = [name for name in RATIOS if any(name in row for row in rows)]
    ratios = [f"× {RATIOS[name]}" for name in names]
    head = ["step", "batch", "items/s", "ms", *ratios, "CPU ms", "GB", "compile s"]
    cells = (
        [
            *(name_run(row), row["batch"], format_rate(row["items_per_s"])),
            f"{1e3 * row['median_s']:.1f}",
            *(format_number(row.get(name), 2) for name in names),
            f"{1e3 * (row['user_s'] + row['system_s']):.1f}",
            *(f"{row['peak_bytes'] / 1e9:.2f}", f"{row['compile_s']:.0f}"),
        ]
        for row in rows
    )
    first = rows[0]
    sizes = f"{first['dtype']}, {first['frames']} frames, {first['size']} px"
    yield _frame("Time and memory of a step", sizes, make_table(head, cells))


def _frame(title: str, settings: str, table: Html) -> Html:
    """Returns a table with its title and its settings, which do not scroll with it."""
    return make_figure(title, tag("p", settings, class_="quiet"), table, wide=True)


def _draw_ratios(rows: Sequence[Row]) -> Html:
    """Returns a chart with a line from 1 to the ratio of each step; the axis is logarithmic."""
    names: dict[Any, str] = {len(rows) - place: name_run(row) for place, row in enumerate(rows)}
    values = [row["ratio"] for row in rows]
    low, high = math.log2(min(0.8, *values) / 1.25), math.log2(max(1.25, *values) * 1.25)
    marks = [
        x
        for x in (0.125, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8, 16, 32)
        if low <= math.log2(x) <= high
    ]
    plot = Plot(
        "Times the speed of PyTorch, by workload",
        x=(low, high),
        y=(0.3, len(rows) + 0.7),
        x_label="times the speed of PyTorch (1: the same)",
        x_ticks={math.log2(x): f"{x:g}" for x in marks},
        y_ticks=names,
        size=(440, 56 + 22 * len(rows)),
        left=152,
    )
    plot.add_line([0.0, 0.0], [0.3, len(rows) + 0.7], REFERENCE)
    for place, value in zip(names, values):
        x, side = math.log2(value), 1 if value >= 1 else -1
        colour = COLOURS["real"] if value >= 1 else COLOURS["fake"]
        plot.add_line([0.0, x], [place, place], Stroke(colour, "", 3.0))
        plot.add_dot(x, place, colour, label=f"{names[place]}: {value:.2f}")
        anchor = "start" if side > 0 else "end"
        plot.add_text(x + side * 0.02 * (high - low), place - 0.17, f"{value:.2f}", anchor=anchor)
    return plot.render()


def _predict(row: Row) -> Iterator[Html]:
    worker = row["worker_peak_bytes"]
    yield make_tiles(
        {
            "median (p50)": (f"{row['p50_s']:.2f} s", f"{row['verdicts']} verdicts, one at a time"),
            "95th percentile": (f"{row['p95_s']:.2f} s", "from a file to its verdict"),
            "videos per second": (f"{row['videos_per_s']:.2g}", f"{row['workers']} read at once"),
            "memory": (
                f"{row['peak_bytes'] / 1e9:.2f} GB",
                f"and {format_number(worker and worker / 1e9, 2)} GB for each process that reads",
            ),
        }
    )
    yield make_pairs(
        {
            "detector": row["detector"],
            "videos": f"{row['videos']}{', drawn' if row['drawn'] else ''}",
            "clip": f"{row['frames']} frames of {row['size']} px, {row['dtype']}",
            "first verdict, with compilation or a cached program": f"{row['first_s']:.1f} s",
        }
    )


def _augment(row: Row) -> Iterator[Html]:
    cells = (
        (name, f"{1e3 * preset['median_s']:.1f}", f"{preset['share_of_dual_stream_step']:.1%}")
        for name, preset in row["presets"].items()
    )
    step = 1e3 * row["dual_stream_step"]["median_s"]
    caption = (
        f"batch {row['batch']}, {row['frames']} frames of {row['size']} px; the share is that of a "
        f"training step of dual_stream with this batch, {step:.0f} ms"
    )
    table = make_table(["preset", "ms a batch", "share of a step"], cells)
    yield _frame("Presets of augmentation", caption, table)


def _read(row: Row) -> Iterator[Html]:
    growth = row["growth_percent"]
    yield make_tiles(
        {
            "clips per second": (
                format_rate(row["items_per_s"]),
                f"{row['frames']} frames of {row['size']} px",
            ),
            "times PNG files": (f"{row['ratio']:.2f}", "read by OpenCV"),
            "growth of memory": (
                "–" if growth is None else f"{growth:.1f} %",
                f"over {row['clips']} clips, after the first 1,000",
            ),
        }
    )


def _detectors(rows: Sequence[Row], machine: MachineChecks) -> Iterator[Html]:
    """Yields the table of the face detectors; those that cannot be used have the reason."""
    if not rows:
        return
    cells = [
        [
            *(row["detector"], f"{row['median_ms']:.1f}"),
            *(f"{row['frames_with_face']} of {row['frames']}", row["faces"]),
        ]
        for row in rows
    ]
    measured = {row["detector"] for row in rows}
    others = [c for c in machine.checks if c.part == "detectors" and c.name not in measured]
    cells += [[check.name, "–", "–", "–"] for check in others]
    head = ["face detector", "ms a frame", "frames with a face", "faces"]
    frames = "frames of drawn videos" if rows[0]["drawn"] else "frames of the given videos"
    yield _frame("Time and faces found", f"one thread, {frames}", make_table(head, cells))
    for check in others:
        yield make_note("info", f"{check.name}:", check.detail)
