"""Writes model cards beside exported files: what a file is, and what its results rest on."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from dfjax.evaluation.report.markdown import format_markdown
from dfjax.evaluation.report.rows import (
    COLUMNS,
    describe_intervals,
    describe_videos,
    list_cells,
)
from dfjax.experiment.initial_backbones import RECORD, RECORD_SCHEMA
from dfjax.experiment.saved import Saved
from dfjax.files import write_text
from dfjax.inference.export_program import CLIPS
from dfjax.inference.reporting.card_file import (
    describe_file,
    find_card,
    find_file,
    hash_others,
    make_header,
)
from dfjax.inference.reporting.honesty import describe_choice
from dfjax.inference.reporting.sources import Evaluation, RunSource, read_run
from dfjax.inference.shared_config import hide_folders, hide_folders_in_text
from dfjax.json_files import read_json
from dfjax.models.registry import find_entry
from dfjax.outputs import COMMENT
from dfjax.weights.rounding import FLOAT32

LIMITS = {
    False: """\
The output is a score. It is not a proof, and a decision about a person must not rest on it alone.
The figures below hold for data like those of the evaluation: other manipulations, cameras,
compression or face detectors give other scores, usually worse ones. `dfjax drift` compares new
data with those that the detector was calibrated on, and `dfjax probe` measures how much of its AUC
shortcuts explain.""",
    True: """\
The generator is for measuring how easily detectors are deceived, and for training detectors that
are not. It must not be used to hide that a video is manipulated. `dfjax defake` marks what it
writes.""",
}
"""Use and limits of a detector and of a generator."""


def write_card(
    path: Path,
    saved: Saved,
    *,
    form: str,
    inputs: Mapping[str, Any],
    kernels: str = FLOAT32,
    rounding: float = 0.0,
) -> Path:
    """Writes the card of an exported file and returns its path.

    Folders of this machine are left out, and so are evaluations of other checkpoints.

    Args:
        path: The exported file, or the folder of the hub.
        saved: What it was exported from. Data and results are those of the workdir `saved.folder`;
            a detector of a weights file has none.
        form: Name of the format.
        inputs: Shapes of the inputs of a program for one clip.
        kernels: How kernels are stored.
        rounding: Largest difference that rounding the kernels makes to outputs.
    """
    generates = find_entry(saved.config.model.name).generates
    run = read_run(saved.folder) if (saved.folder / "config.json").is_file() else None
    run = run and _keep_checkpoint(run, saved.checkpoint)
    evaluations = run.evaluations if run else []
    described = describe_file(find_file(path))
    file = {**described, "format": form, "checkpoint": saved.checkpoint}
    permuted = bool(saved.config.data.shuffle_labels)
    entries = {
        "library_name": "dfjax",
        "pipeline_tag": "video-to-video" if generates else "video-classification",
        "tags": ["deepfake-detection", "jax", *(["permuted-labels"] if permuted else [])],
        "model-index": [{"name": saved.config.name, "results": _list_results(evaluations)}],
    }
    settings = json.dumps(hide_folders(saved.config.to_dict()), indent=1)
    parts = [
        make_header(entries, file, hash_others(path)),
        COMMENT,
        f"# {saved.config.name}",
        *([PERMUTED] if permuted else []),
        _describe_model(saved, file, inputs) + _describe_rounding(kernels, rounding),
        f"## Use and limits\n\n{LIMITS[generates]}",
        *(_escape(part) for part in (_describe_run(run) if run else [_NO_RUN])),
        f"## Licence\n\n{_escape(_describe_licences(run))}",
        f"## Settings\n\n<details>\n\n```json\n{settings}\n```\n\n</details>",
    ]
    write_text(find_card(path), "\n\n".join(parts) + "\n")
    return find_card(path)


PERMUTED = """\
**The labels of the training data were permuted at random** (`data.shuffle_labels`). This is a
control, not a detector: its scores mean nothing."""

_NO_RUN = """\
## Data and results

Not known: the file was exported from a weights file and not from the workdir of a run."""


def _keep_checkpoint(run: RunSource, checkpoint: str) -> RunSource:
    """Returns a run with the evaluations of one checkpoint, and notes without its folder."""
    kept = [e for e in run.evaluations if e.metrics["checkpoint"] == checkpoint]
    notes = [note.replace(f"{run.workdir}{os.sep}", "") for note in run.notes]  # if relative
    if left := len(run.evaluations) - len(kept):
        notes.append(f"{left} evaluations in the workdir are of other checkpoints or ensembles")
    return dataclasses.replace(run, evaluations=kept, notes=notes)


def _escape(text: str) -> str:
    return escape(hide_folders_in_text(text), quote=False)


def _list_results(evaluations: Iterable[Evaluation]) -> list[dict[str, Any]]:
    """Returns the results in the form of `model-index`."""
    results = []
    for evaluation in evaluations:
        metrics = evaluation.metrics
        values = metrics["overall"]
        named = [
            {"type": name, "name": title, "value": values[name]}
            for name, title in COLUMNS.items()
            if values.get(name) is not None
        ]
        names = ", ".join(metrics["by_dataset"]) or "unknown"
        data = {"name": names, "type": names, "split": metrics["split"]}
        task = {"type": "video-classification", "name": "deepfake detection"}
        results.append({"task": task, "dataset": data, "metrics": named})
    return results


def _describe_model(saved: Saved, file: Mapping[str, Any], inputs: Mapping[str, Any]) -> str:
    config = saved.config
    lines = [
        f"- model: `{config.model.name}`, config `{config.name}`, checkpoint {saved.checkpoint}",
        f"- file: `{file['name']}`, {file['format']}, {file['bytes']:,} bytes, SHA-256 "
        f"`{file['sha256']}`",
        *(f"- input `{name}`: [B, {', '.join(map(str, s))}]" for name, s in inputs.items()),
        f"- face crops of {config.preprocess.size} pixels, {config.data.frames} per clip; how they "
        f"are cut: `{json.dumps(hide_folders(config.crops.to_dict()))}`",
    ]
    return "\n".join(lines)


def _describe_rounding(kernels: str, rounding: float) -> str:
    if kernels == FLOAT32:
        return ""
    return (
        f"\n- kernels are stored as {kernels}, which changes outputs for {CLIPS} clips of noise "
        f"by {rounding:.1e} at most; results below are those of the float32 checkpoint"
    )


def _describe_run(run: RunSource) -> list[str]:
    held = ", ".join(run.config.data.holdout_methods) or "none"
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    data = [
        f"- checkpoint: {describe_choice(run)}",
        f"- manipulations held back from training: {held}",
        f"- seed {run.config.seed}; versions at the start of training: {versions or 'unknown'}",
        *(f"- not shown: {note}" for note in run.notes),
    ]
    if run.has_drawn_faces:
        data.append("- the data are drawn faces: the results do not apply to real deepfakes")
    results = [_describe_evaluation(one) for one in run.evaluations]
    if not results:
        results = ["Not evaluated: no `eval/*/metrics.json` in the workdir is of this checkpoint."]
    return [
        "## Training data\n\n" + "\n".join([*data, *_describe_audit(run)]),
        "## Results\n\n" + "\n\n".join(results),
    ]


def _describe_audit(run: RunSource) -> list[str]:
    if run.audit is None:
        return ["- audit: there is none in the workdir"]
    lines = [f"- audit of the index with SHA-256 `{run.audit['index_sha256']}`:"]
    for finding in run.audit["findings"]:
        taken = ", accepted" if finding["code"] in run.audit["accepted"] else ""
        lines.append(f"  - {finding['code']} ({finding['severity']}{taken}): {finding['message']}")
    return lines if len(lines) > 1 else [f"{lines[0]} nothing was found"]


def _describe_evaluation(evaluation: Evaluation) -> str:
    metrics = evaluation.metrics
    head, *rows = list_cells(metrics)
    lines = [
        f"{describe_videos(metrics)}; {describe_intervals(metrics)}",
        format_markdown(pd.DataFrame(rows, columns=head)),
        *(f"- {flag['severity']} {flag['code']}: {flag['message']}" for flag in metrics["flags"]),
    ]
    if robustness := evaluation.documents.get("robustness"):
        lines.append(_describe_robustness(robustness))
    return "\n\n".join(lines)


def _describe_robustness(content: Mapping[str, Any]) -> str:
    """Returns the table of the mean AUC over the levels of each corruption."""
    curves = content["robustness"]
    rows = [[name, curve["area"]] for name, curve in curves.items()]
    return format_markdown(pd.DataFrame(rows, columns=["corruption", "mean AUC over its levels"]))


def _describe_licences(run: RunSource | None) -> str:
    stated = "The licence of these parameters is for their owner to state; none is recorded here."
    path = run.workdir / RECORD if run else None
    if not path or not path.is_file():
        return stated
    files = read_json(path, RECORD_SCHEMA)
    lines = [
        f"- {key}: `{Path(file['path']).name}`, {file.get('licence') or 'licence unknown'}"
        for key, file in files.items()
    ]
    return f"{stated} Training started from:\n\n" + "\n".join(lines)
