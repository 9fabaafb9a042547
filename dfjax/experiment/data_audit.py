"""The audit of a data set with its two reports: `audit.json` and `audit.html`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dfjax.console import one_line
from dfjax.data.index.audit import audit, check_accepted, refused, to_json
from dfjax.evaluation.figures.audit_page import write_reports
from dfjax.files import finite
from dfjax.json_files import read_json
from dfjax.outputs import check_outputs

REPORT = "audit.json"
REPORT_SCHEMA = {
    "findings": [{"code": str, "severity": str, "message": str, "ids": [str]}],
    **{"accepted": [str], "index_sha256": str, "version": str},
}
"""Schema of `audit.json`, as far as a later call reads it."""


def audit_data(
    index: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    accept: Sequence[str] = (),
    split: Sequence[str] | None = None,
    deep: bool = False,
    workers: int | None = None,
    time_limit: float = 120.0,
) -> dict[str, Any]:
    """Audits a data set, writes both reports, and returns the content of `audit.json`.

    Args:
        index: Index of videos, of crops or of a pack, or the folder that contains it.
        out: Folder for `audit.json` and `audit.html`.
        accept: Codes of errors that are accepted, as the reports then state.
        split: Split of each video; None for those of the index.
        deep: Whether every source video is opened, also those that were probed for the index.
        workers: Number of processes that open videos; None for the number of cores.
        time_limit: Time limit per video in seconds, after which it counts as unreadable.

    Raises:
        UsageError: The index cannot be read or is empty, or a code is unknown.
    """
    check_accepted(accept)
    check_outputs([Path(out, REPORT), Path(out, "audit.html")], inputs=[index])
    result = audit(index, split=split, deep=deep, workers=workers, time_limit=time_limit)
    content = finite(to_json(result, accept))
    write_reports(result, content, Path(out), name=os.fspath(index))
    return content


def read_report(folder: Path) -> dict[str, Any] | None:
    """Returns the content of the `audit.json` in a folder, or None if there is none.

    Raises:
        FileError: It is damaged.
    """
    path = folder / REPORT
    if not path.exists():
        return None
    return read_json(path, REPORT_SCHEMA, remedy="delete it: the data are then audited again")


def list_refused(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the errors of an `audit.json` that are not accepted."""
    return [dict(finding) for finding in refused(content["findings"], content["accepted"])]


def describe_audit(content: dict[str, Any]) -> list[str]:
    """Returns an `audit.json` as lines: frame counts, the shortcut probe and every finding."""
    n, frames, probe = content["n"], content["frames"], content["shortcut_probe"]
    lines = [f"{n['videos']} videos, {n['real']} real, {n['fake']} fake"]
    lines.append("frames per video        n      mean        sd")
    for name in ("real", "fake"):
        block = frames[name]
        mean, sd = ("-" if x is None else f"{x:.1f}" for x in (block["mean"], block["sd"]))
        lines.append(f"  {name:<16}{block['n']:>7}{mean:>10}{sd:>10}")
    if frames["ratio"]:
        lines.append(f"  ratio of means {frames['ratio']:.1f}x")
    if probe["auc"] is not None:
        lines.append(f"shortcut probe: AUC {probe['auc']:.3f}")
    for finding in content["findings"]:
        accepted = " (accepted)" if finding["code"] in content["accepted"] else ""
        lines.append(f"{finding['severity']}: {finding['code']}{accepted}: {finding['message']}")
    lines += [] if content["findings"] else ["no findings"]
    return list(map(one_line, lines))
