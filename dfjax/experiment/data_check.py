"""The audit of a run's data before it trains, and what evaluation repeats of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import dfjax
from dfjax.console import say
from dfjax.data.index.audit import check_accepted, hash_index, refused
from dfjax.data.index.components import LINKS
from dfjax.data.index.records import find_index
from dfjax.data.index.splits import PARTS
from dfjax.errors import RunError
from dfjax.evaluation.flags import Flag, make_flag
from dfjax.experiment.data_audit import audit_data, list_refused, read_report


def check_data(
    data: Path, workdir: Path, accept: Sequence[str], *, split: Sequence[str] | None = None
) -> None:
    """Audits the data of a run once, says its warnings, and refuses its errors.

    The report is kept in the workdir and made again only for another index. What was accepted once
    stays accepted there, so that the same call resumes.

    Args:
        data: Folder of the pack, or its index file.
        workdir: Workdir of the run; gets `audit.json` and `audit.html`.
        accept: Codes of errors to train with all the same.
        split: Split of each video, where the run has others than the index (`data.fold`).

    Raises:
        UsageError: no error has one of the codes.
        RunError: an error that nobody accepted.
    """
    check_accepted(accept)
    index = find_index(data)
    content = read_report(workdir)
    known = (hash_index(index), dfjax.__version__)
    if content and (content["index_sha256"], content["version"]) == known:
        accept = sorted({*content["accepted"], *accept})
    else:
        content = None
    if content and content["accepted"] == accept:
        for finding in refused(content["findings"], accept):
            _say(finding)
    else:  # also for a newly accepted code: both reports have to say it
        content = audit_data(data, workdir, accept=accept, split=split)
        for finding in content["findings"]:
            if finding["severity"] != "info":
                _say(finding)
    standing = sorted({f["code"] for f in list_refused(content)})
    if standing:
        codes = ", ".join(standing)
        raise RunError(
            f"the data have errors that would make results misleading: {codes}; see "
            f"{workdir / 'audit.html'}. Mend the data, or accept {codes}, which every report will "
            "then say"
        )


def read_accepted(workdir: Path) -> list[Flag]:
    """Returns a flag for every error of the data that the run was trained with."""
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
    """Returns, by column, the people, recordings and groups that the run's own splits share.

    Training went on only because all of it was accepted; without that there is nothing.

    Args:
        workdir: of the run.
        index: all videos of its data.
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
