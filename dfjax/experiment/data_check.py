"""The audit of the data of a run before training, and its accepted errors."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import dfjax
from dfjax.console import say
from dfjax.data.index.audit import check_accepted, refused
from dfjax.data.index.components import LINKS
from dfjax.data.index.records import find_index
from dfjax.data.index.splits import PARTS
from dfjax.errors import RunError
from dfjax.evaluation.flags import Flag, make_flag
from dfjax.experiment.data_audit import audit_data, list_refused, read_report
from dfjax.files import hash_file


def check_data(
    data: Path, workdir: Path, accept: Sequence[str], *, split: Sequence[str] | None = None
) -> None:
    """Audits the data of a run, prints the findings, and raises an error for errors in the data.

    The report is kept in the workdir and only computed again for another index. Codes that were
    accepted once stay accepted, so that the same call resumes the run.

    Args:
        data: Folder of the pack, or its index file.
        workdir: Workdir of the run, to which `audit.json` and `audit.html` are written.
        accept: Codes of errors that are accepted.
        split: Split of each video; None for those of the index.

    Raises:
        UsageError: A code is unknown.
        RunError: The data have errors that are not accepted.
    """
    check_accepted(accept)
    index = find_index(data)
    content = read_report(workdir)
    known = (hash_file(index), dfjax.__version__)
    if content and (content["index_sha256"], content["version"]) == known:
        accept = sorted({*content["accepted"], *accept})
    else:
        content = None
    if content and content["accepted"] == accept:
        for finding in refused(content["findings"], accept):
            _say(finding)
    else:  # also for a newly accepted code, which both reports have to state
        content = audit_data(data, workdir, accept=accept, split=split)
        for finding in content["findings"]:
            if finding["severity"] != "info":
                _say(finding)
    refused_codes = sorted({f["code"] for f in list_refused(content)})
    if refused_codes:
        codes = ", ".join(refused_codes)
        raise RunError(
            f"the data have errors that would make results misleading: {codes}; see "
            f"{workdir / 'audit.html'}. Correct the data, or accept {codes}; every report then "
            "states this"
        )


def read_accepted(workdir: Path) -> list[Flag]:
    """Returns a flag for every error in the training data that was accepted for the run."""
    content = read_report(workdir)
    if not content:
        return []
    return [
        make_flag(
            finding["code"],
            "warning",
            f"accepted when training ({finding['code']}): {finding['message']}",
            finding["ids"],
        )
        for finding in content["findings"]
        if finding["severity"] == "error" and finding["code"] in content["accepted"]
    ]


def list_accepted_links(workdir: Path, index: pd.DataFrame) -> dict[str, frozenset[str]]:
    """Returns the identities, recordings and groups that are in several splits of a run's data.

    They are returned by column of the index, and only if errors in the data were accepted for the
    run.

    Args:
        workdir: Workdir of the run.
        index: Index of all videos of its data.
    """
    if not read_accepted(workdir):
        return {}
    links = {"identities": "identity", "origin_id": "origin", "group": "group"}
    found = {}
    for column, link in links.items():
        rows, values = LINKS[link](index)
        splits = index["split"].iloc[rows].where(lambda split: split.isin(PARTS))
        count = splits.groupby(values).nunique()
        found[column] = frozenset(count.index[count > 1])
    return found


def _say(finding: dict[str, Any] | Any) -> None:
    say(f"{finding['severity']}: {finding['code']}: {finding['message']}")
