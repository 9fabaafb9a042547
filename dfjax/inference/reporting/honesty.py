"""The panel of a report that says what its numbers rest on: data, choices, versions, hashes."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dfjax import FAKE, REAL
from dfjax.data.index.splits import PARTS
from dfjax.evaluation.charts.markup import (
    Html,
    make_details,
    make_note,
    make_pairs,
    make_table,
    tag,
    to_html,
)
from dfjax.evaluation.charts.run_charts import find_best
from dfjax.inference.reporting.sources import Evaluation, RunSource

SHOWN_IDS = 20


def draw_honesty(run: RunSource, index: pd.DataFrame | None) -> Html:
    """Returns the panel of one detector.

    Args:
        run: Content of its workdir.
        index: Index of its data, or None where the data are missing.
    """
    return to_html(
        _draw_basis(run),
        *_draw_warnings(run),
        _draw_audit(run),
        _draw_splits(index),
        _draw_hashes(run.evaluations),
        make_details("Config", tag("pre", tag("code", *_list_config(run)), tabindex="0")),
    )


def _draw_basis(run: RunSource) -> Html:
    config, versions = run.config, run.versions
    packages = [f"{name} {version}" for name, version in versions.items() if name != "git"]
    held = ", ".join(config.data.holdout_methods) or "none"
    return make_pairs(
        {
            "config": config.name,
            "seed": config.seed,
            "checkpoint": describe_choice(run),
            "manipulations held back from training": held,
            "data": config.data.path or config.data.features or "synthetic, made by this run",
            "index": tag("code", run.audit["index_sha256"]) if run.audit else "not audited",
            "git revision": versions.get("git") or "not recorded",
            "versions at the start of training": ", ".join(packages) or "not recorded",
        }
    )


def describe_choice(run: RunSource) -> str:
    """Returns how the checkpoint was chosen, in which epoch, and which ones were evaluated."""
    stop = run.config.early_stop
    rule = f"best {stop.metric} on the validation split ({stop.mode})"
    best = find_best(run.history) if run.history is not None else None
    reached = f", reached in epoch {best:g} of {len(run.history)}" if best is not None else ""  # type: ignore[arg-type]
    used = sorted({e.metrics["checkpoint"] for e in run.evaluations if e.metrics["checkpoint"]})
    return f"{rule}{reached}" + (f"; evaluated: {', '.join(used)}" if used else "")


def _draw_warnings(run: RunSource) -> list[Html]:
    notes = [make_note("warning", "not shown", note) for note in run.notes]
    if run.config.data.shuffle_labels:
        message = "this run was trained on permuted labels, a control: its scores mean nothing"
        notes.append(make_note("error", "permuted labels", message))
    if run.has_drawn_faces:
        message = "the data are drawn faces: the numbers say nothing about real deepfakes"
        notes.append(make_note("info", "synthetic data", message))
    return notes


def _draw_audit(run: RunSource) -> Html:
    if run.audit is None:
        return make_note("warning", "audit", "the workdir has no audit of the training data")
    findings, accepted = run.audit["findings"], run.audit["accepted"]
    if not findings:
        return make_note("good", "audit", "nothing was found in the training data")
    notes = []
    for finding in findings:
        taken = " (accepted)" if finding["code"] in accepted else ""
        ids = ", ".join(finding["ids"][:SHOWN_IDS])
        more = make_details(f"{len(finding['ids'])} ids", ids) if ids else ""
        text = tag("div", finding["message"])
        notes.append(make_note(finding["severity"], f"{finding['code']}{taken}", text, more))
    return to_html(tag("h3", "Audit of the training data"), *notes)


def _draw_splits(index: pd.DataFrame | None) -> Html:
    """Returns the numbers of videos, persons and groups by split."""
    if index is None:
        return make_note("info", "splits", "the data are not here, so their splits are not counted")
    rows = []
    for name in [split for split in (*PARTS, "none") if (index["split"] == split).any()]:
        part = index[index["split"] == name]
        people = part["target_id"].nunique() if "target_id" in part else 0
        groups = part["group"].nunique() if "group" in part else 0
        labels = part["label"]
        rows.append([name, (labels == REAL).sum(), (labels == FAKE).sum(), people, groups])
    head = ("split", "real videos", "fake videos", "persons shown", "groups")
    return make_table(head, rows)


def _draw_hashes(evaluations: list[Evaluation]) -> Html:
    rows = [
        [f"{name} ({e.metrics['split']})", tag("code", file["sha256"][:16])]
        for e in evaluations
        for name, file in e.metrics.get("inputs", {}).get("files", {}).items()
    ]
    if not rows:
        return Html()
    table = make_table(("file", "SHA-256, first 16 digits"), rows)
    return make_details("Hashes of the files that the numbers depend on", table)


def _list_config(run: RunSource) -> list[Any]:
    lines = []
    for key, value in sorted(_flatten(run.config.to_dict()).items()):
        lines += [f"{key} = {value!r}", Html("\n")]
    return lines


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= _flatten(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
