"""Writes the pages on the inputs of `dfjax predict`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dfjax.console import say
from dfjax.errors import InputError, RunError, UsageError
from dfjax.inference.ensemble import Ensemble
from dfjax.inference.explain import explain_clips, prepare
from dfjax.inference.explanation import ClipExplanation, Explainer
from dfjax.inference.reporting.verdict_page import write_verdict_page
from dfjax.inference.verdict import Verdict

CLIPS = 3
"""Largest number of clips with heat maps: those that speak most for the verdict."""


def write_pages(
    scorer: Ensemble,
    verdicts: Sequence[Verdict],
    pages: Mapping[str, Path],
    options: Mapping[str, Any],
) -> None:
    """Writes a page on each scored input; a note says where there are no heat maps.

    Args:
        scorer: Detector or ensemble that gave the verdicts.
        verdicts: Verdicts on the inputs.
        pages: HTML file of each input by its path; empty for no pages.
        options: Arguments of `score_files` that the verdicts were made with.
    """
    if not pages:
        return
    alone = len(scorer.members) == 1 and not scorer.draws
    explainer = Explainer(scorer.members[0]) if alone else None
    for verdict in verdicts:
        if verdict.status != "ok":
            continue
        found: list[ClipExplanation] = []
        path = Path(verdict.input)
        try:
            if explainer:
                prepared, _ = prepare(explainer.detector, path, **options)
                found = explain_clips(explainer, prepared, verdict, most=CLIPS)
        except (RunError, UsageError) as error:
            say(f"note: the page of {verdict.input} has no heat maps: {error}")
        try:
            page = pages[verdict.input]
            write_verdict_page(verdict, page, checkpoint=scorer.checkpoint, explanations=found)
        except InputError as error:  # the file was deleted after it was scored
            say(f"note: there is no page of {verdict.input}: {error}")
