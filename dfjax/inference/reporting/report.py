"""Writes the report on one or several detectors: `dfjax report`."""

from __future__ import annotations

import datetime
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import dfjax
from dfjax.config import model_options
from dfjax.data.store.frame_store import FrameStore
from dfjax.errors import UsageError
from dfjax.evaluation.charts.markup import (
    Html,
    make_details,
    make_figure,
    make_grid,
    make_table,
    tag,
    to_html,
)
from dfjax.evaluation.charts.page import Section, make_page, write_page
from dfjax.evaluation.charts.run_charts import draw_history
from dfjax.evaluation.report import sections
from dfjax.evaluation.report.rows import describe_intervals, describe_videos
from dfjax.experiment.history import COLUMNS
from dfjax.experiment.model_size import draw_model
from dfjax.inference.reporting.clips import draw_clips, open_frames
from dfjax.inference.reporting.comparison import draw_comparison
from dfjax.inference.reporting.documents import draw_documents
from dfjax.inference.reporting.honesty import draw_honesty
from dfjax.inference.reporting.sources import Evaluation, RunSource, read_run
from dfjax.models.summary import compute_summary
from dfjax.outputs import check_inside, check_outputs
from dfjax.results import Result

REPORT = "report.html"
FRAME = 800  # height of the page in a notebook, pixels
AnyPath = str | os.PathLike[str]


@dataclass(frozen=True)
class PageReport(Result):
    """The result of `report`.

    Attributes:
        out: HTML file.
        bytes: Its size.
        runs: Names of the detectors.
        evaluations: Number of evaluations that it shows.
        notes: Sentences on what it does not show.
    """

    out: Path
    bytes: int
    runs: list[str]
    evaluations: int
    notes: list[str]

    def describe(self) -> list[str]:
        """Returns a line that names the file and its size."""
        return [f"written to {self.out} ({self.bytes / 1e6:.1f} MB)"]

    def _repr_html_(self) -> str:
        """Returns the page as a notebook displays it, in a frame of its own."""
        page = escape(self.out.read_text(encoding="utf-8"))
        style = f"width: 100%; height: {FRAME}px; border: 1px solid #ccc"
        return f'<iframe srcdoc="{page}" style="{style}"></iframe>'


def report(
    workdirs: AnyPath | Sequence[AnyPath],
    *,
    out: AnyPath | None = None,
    evaluations: Sequence[AnyPath] = (),
) -> PageReport:
    """Writes a page on one or several detectors that needs no other file, and no network.

    Args:
        workdirs: Folders of training runs.
        out: HTML file; None for `report.html` in the first workdir.
        evaluations: Folders of evaluations of the first detector that are outside of its workdir.

    Raises:
        UsageError: A folder is not a workdir, or `out` is a file that dfjax did not write.
    """
    paths = [workdirs] if isinstance(workdirs, str | os.PathLike) else workdirs
    folders = list(dict.fromkeys(map(Path, paths)))
    if not folders:
        raise UsageError("name one workdir or more")
    path = Path(out) if out is not None else folders[0] / REPORT
    if out is None:
        check_inside(path, folders[0])
    check_outputs([path])
    first = [Path(folder) for folder in evaluations]
    runs = [read_run(folder, first if not n else ()) for n, folder in enumerate(folders)]
    parts = draw_comparison(runs, _name_runs(runs))
    for number, (name, run) in enumerate(zip(_name_runs(runs), runs)):
        parts += draw_run(run, prefix=f"r{number}-", heading=f"{name}: " if len(runs) > 1 else "")
    title = runs[0].config.name if len(runs) == 1 else ", ".join(_name_runs(runs))
    time = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    lead = f"{', '.join(str(run.workdir) for run in runs)} · dfjax {dfjax.__version__} · {time}"
    write_page(path, make_page(f"Report: {title}", lead, parts, foot="Made by dfjax report."))
    shown = sum(len(run.evaluations) for run in runs)
    notes = [note for run in runs for note in run.notes]
    return PageReport(path, path.stat().st_size, _name_runs(runs), shown, notes)


def _name_runs(runs: Sequence[RunSource]) -> list[str]:
    """Returns the names of the runs; folders of the same name are told apart by their parents."""
    count = Counter(run.name for run in runs)
    return [run.name if count[run.name] == 1 else str(run.workdir) for run in runs]


def draw_run(run: RunSource, *, prefix: str = "", heading: str = "") -> list[Section]:
    """Returns the sections on one detector.

    Args:
        run: Content of its workdir.
        prefix: Prefix of the names of sections.
        heading: Start of their titles.
    """
    data = open_frames(run)
    found: list[Section] = []
    for number, evaluation in enumerate(run.evaluations):
        alone = len(run.evaluations) == 1
        name = heading if alone else f"{heading}{_name(evaluation)} "
        found += _draw_evaluation(evaluation, data, f"{prefix}e{number}-", name)
    if not run.evaluations:
        missing = "There is no evaluation yet: run `dfjax evaluate`."
        found.append(Section(f"{prefix}missing", f"{heading}Summary", [tag("p", missing)]))
    index = None if data is None else data.index
    history = run.history
    drawn = draw_history(history) if history is not None and len(history) else {}
    curves = make_grid(make_figure(title, chart) for title, chart in drawn.items())
    table = _tabulate(run) if drawn else Html()
    found += [
        Section(f"{prefix}basis", f"{heading}What the numbers rest on", [draw_honesty(run, index)]),
        Section(f"{prefix}training", f"{heading}Training", [curves, table] if drawn else []),
        Section(f"{prefix}model", f"{heading}Architecture", [_draw_architecture(run, prefix)]),
        Section(f"{prefix}more", f"{heading}Further results", [draw_documents(run.documents)]),
    ]
    return found


def _name(evaluation: Evaluation) -> str:
    """Returns the split of an evaluation, and its folder where that is named otherwise."""
    split, folder = evaluation.metrics["split"], evaluation.folder.name
    return f"{split}:" if folder == split else f"{split} ({folder}):"


def _draw_evaluation(
    evaluation: Evaluation, data: FrameStore | None, prefix: str, heading: str
) -> list[Section]:
    result = evaluation.metrics
    counts = f"{describe_videos(result)}. {describe_intervals(result)}."
    summary = [sections.draw_tiles(result), sections.draw_flags(result["flags"])]
    summary += [sections.draw_metric_table(result), tag("p", result["protocol"], class_="quiet")]
    found = [Section(f"{prefix}summary", f"{heading}Summary".capitalize(), summary, counts)]
    if evaluation.predictions is not None:
        videos, unseen = sections.split_videos(result, evaluation.predictions)
        curves = [sections.draw_curves(result, videos, unseen)]
        methods = [sections.draw_methods(result, videos, unseen)]
        methods.append(sections.draw_identities(result))
        clips = [to_html(tag("h3", title), part) for title, part in draw_clips(evaluation, data)]
        intro = "The border is the true class: blue real, orange fake."
        found += [
            Section(f"{prefix}curves", f"{heading}Curves".capitalize(), curves),
            Section(f"{prefix}methods", f"{heading}By manipulation".capitalize(), methods),
            Section(f"{prefix}clips", f"{heading}Errors and doubts".capitalize(), clips, intro),
        ]
    extra = draw_documents(evaluation.documents)
    return [*found, Section(f"{prefix}tests", f"{heading}Stress tests".capitalize(), [extra])]


def _tabulate(run: RunSource) -> Html:
    """Returns the history of a run as a table, one row per epoch."""
    history: Any = run.history
    names = [name for name in COLUMNS if name in history]
    rows = [
        [COLUMNS[name][1].format(row[name]) for name in names]
        for _, row in history[names].iterrows()
    ]
    head = [COLUMNS[name][0] for name in names]
    return make_details(f"History of {len(rows)} epochs", make_table(head, rows))


def _draw_architecture(run: RunSource, prefix: str) -> Html:
    config = run.config
    try:
        summary = compute_summary(
            config.model.name,
            size=config.preprocess.size,
            frames=config.data.frames,
            options=model_options(config).to_dict(),
        )
        drawing = draw_model(config.name, config, summary)
    except UsageError as error:  # a model of the user's own, whose module is not imported
        run.notes.append(f"the architecture is not drawn: {error}")
        return Html()
    drawing = drawing.replace("id='tip'", f"id='{prefix}tip'").replace("#tip", f"#{prefix}tip")
    return make_figure(
        config.model.name,
        tag("div", Html(drawing), class_="diagram", tabindex="0", role="group"),
        wide=True,
    )
