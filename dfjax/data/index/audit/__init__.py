"""Audits a data set for properties that make results wrong, before a detector is trained on it.

`audit` reads an index, its files and some crops of every video. `RULES` turn this evidence into
findings. A finding of severity `error` means that metrics on these data are misleading.
"""

import dataclasses
import datetime
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import dfjax
from dfjax.data.faces.worker_pool import check_limits
from dfjax.data.index.audit import balance, duplicates, files, leaks, properties, shortcut
from dfjax.data.index.audit.duplicates import Match
from dfjax.data.index.audit.faces import is_pack, read_faces
from dfjax.data.index.audit.findings import (
    SEVERITIES,
    Evidence,
    Finding,
    Problem,
    Rule,
    make_finding,
)
from dfjax.data.index.audit.shortcut import Probe
from dfjax.data.index.error_log import read_errors
from dfjax.data.index.records import find_index, read_index
from dfjax.errors import UsageError, unknown
from dfjax.files import hash_file


def missing_data(evidence: Evidence) -> Iterator[Finding]:
    """Yields a note for each check that is not possible because data are missing."""
    index = evidence.index
    if evidence.faces is None:
        message = (
            "there are no face crops (`dfjax data extract`): near duplicates and properties of the "
            "faces are not checked"
        )
        yield make_finding("faces_not_checked", "info", message)
    for column, what in (("identities", "people"), ("origin_id", "recordings")):
        empty = index[column].map(lambda v: v is None or v != v or len(v) == 0)
        if empty.any():
            message = f"{what} unknown for {int(empty.sum())} of {len(index)} videos: {column}"
            yield make_finding(f"{column}_unknown", "info", message)


RULES: tuple[Rule, ...] = (
    leaks.identities,
    leaks.origins,
    leaks.videos,
    leaks.groups,
    leaks.label_conflicts,
    leaks.copies,
    files.file_problems,
    files.restored_files,
    balance.small_class,
    balance.class_missing,
    balance.class_balance,
    balance.method_balance,
    balance.sources,
    properties.lengths,
    properties.numbers,
    properties.categories,
    properties.shifts,
    missing_data,
)
ACCEPTABLE = (
    "identity_across_splits", "origin_across_splits", "video_across_splits",
    "group_across_splits", "near_duplicate_across_splits", "label_conflict", "length_by_class",
    "shortcut_probe", "one_source_per_class", "restored_file",
    *(c for c in files.MESSAGES if "file" in c),
)  # fmt: skip
"""Codes of findings that can be errors, and can therefore be accepted."""


@dataclasses.dataclass(frozen=True)
class Audit:
    """Result of an audit.

    Attributes:
        findings: Findings, errors first.
        evidence: Input of the rules.
        probe: Result of the shortcut probe.
        matches: Near duplicates in different splits, best match first.
        index_sha256: SHA-256 of the index file.
    """

    findings: list[Finding]
    evidence: Evidence
    probe: Probe
    matches: list[Match]
    index_sha256: str


def audit(
    index: str | os.PathLike[str],
    *,
    split: Sequence[str] | None = None,
    deep: bool = False,
    workers: int | None = None,
    time_limit: float = 120.0,
) -> Audit:
    """Returns the audit of an index file, of its files and of its crops (or of its pack).

    Args:
        index: Index file, or the folder it is in.
        split: Split of each video, which replaces that of the index.
        deep: Whether to open every source video again, also those probed for the index.
        workers: Number of processes that open videos; None is the number of cores.
        time_limit: Seconds per video, after which it counts as unreadable.

    Raises:
        UsageError: The index is unreadable or empty.
    """
    path = find_index(index)
    workers = check_limits(workers, time_limit)
    table = read_index(path)
    if not len(table):
        raise UsageError(f"{path} has no videos")
    if split is not None:
        table["split"] = list(split)
    problems = [
        Problem("left_out", entry["video_id"], entry["error"])
        for entry in read_errors(path.parent)
        if entry.get("stage") != "mask"  # a video without its mask is in the index
    ]
    table, found = files.check_sources(table, deep=deep, workers=workers, time_limit=time_limit)
    if not is_pack(path.parent):  # those of a pack were checked when they were packed
        found += files.check_crops(table, path.parent)
    faces, errors = read_faces(table, path.parent)
    listed = {problem.video_id for problem in found}
    names = table["video_id"].tolist()
    found += [
        Problem("unreadable_file", names[row], error)
        for row, error in errors.items()
        if names[row] not in listed
    ]
    evidence = Evidence(table, properties.compute_properties(table, faces), faces, problems + found)
    probe = shortcut.run_probe(evidence)
    matches = duplicates.find_matches(evidence)
    rules = (*RULES, duplicates.make_rule(matches), shortcut.make_rule(probe))
    findings = [finding for rule in rules for finding in rule(evidence)]
    findings.sort(key=lambda finding: SEVERITIES.index(finding["severity"]))
    return Audit(findings, evidence, probe, matches, hash_file(path))


def check_accepted(codes: Sequence[str]) -> None:
    """Checks that findings with these codes can be accepted.

    Raises:
        UsageError: A code is not in `ACCEPTABLE`.
    """
    for code in codes:
        if code not in ACCEPTABLE:
            raise unknown("finding to accept", code, ACCEPTABLE)


def refused(findings: Iterable[Finding], accepted: Sequence[str]) -> list[Finding]:
    """Returns the findings of severity `error` whose codes are not accepted."""
    return [f for f in findings if f["severity"] == "error" and f["code"] not in accepted]


def to_json(result: Audit, accepted: Sequence[str] = ()) -> dict[str, Any]:
    """Returns the content of `audit.json`.

    Args:
        result: Result of an audit.
        accepted: Codes of errors that the user has accepted.
    """
    evidence, probe = result.evidence, result.probe
    index = evidence.index
    return {
        "findings": result.findings,
        "accepted": sorted(set(accepted)),
        "n": {"videos": len(index), **balance.count_classes(index)},
        "frames": properties.summarise_lengths(evidence),
        "shortcut_probe": {
            "auc": probe.auc, "importance": probe.importance, "note": probe.note or None
        },
        "properties": properties.tabulate(evidence),
        "index_sha256": result.index_sha256,
        "version": dfjax.__version__,
        "generated": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
