"""Scores files with a trained detector, and writes what is said of each: `dfjax.predict`."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dfjax.inference.audit_log import AuditLog
from dfjax.inference.detector import Detector
from dfjax.inference.ensemble import load_ensemble
from dfjax.inference.media import find_inputs
from dfjax.inference.score_inputs import score_files
from dfjax.inference.verdict import Verdict

AnyPath = str | os.PathLike[str]


def predict(
    detector: AnyPath | Detector,
    inputs: AnyPath | Sequence[AnyPath],
    *,
    out: AnyPath | None = None,
    checkpoint: str = "best",
    ensemble: Sequence[AnyPath] = (),
    passes: int = 0,
    flip: bool = False,
    seed: int = 0,
    on_verdict: Callable[[Verdict], None] | None = None,
    **options: Any,
) -> list[Verdict]:
    """Returns the verdict on every video and image, in their order.

    A file that cannot be read gives a verdict whose `error` says why.

    Args:
        detector: Workdir of a training run, or a detector from `dfjax.load`.
        inputs: Path of a file or a folder, or several. Folders are searched to any depth.
        out: Folder for a picture per input and the log `predictions.jsonl`; None writes nothing.
        checkpoint: `best` or `last`, where `detector` is a workdir.
        ensemble: Further workdirs whose detectors score too, or `best` and `last` of the first.
        passes: Number of passes of Monte-Carlo dropout; 0 means without dropout.
        flip: Whether mirror images are scored too.
        seed: Seed of the passes.
        on_verdict: Function that is called with each verdict as soon as it is there.
        **options: How inputs are read, for example `clips`, `face_detector`, `batch_size` or
            `workers`: further arguments of `score_files`.

    Raises:
        UsageError: No such workdir or checkpoint, or detectors that do not fit together.
    """
    scorer = load_ensemble(
        detector, checkpoint, ensemble=ensemble, passes=passes, flip=flip, seed=seed
    )
    paths = [inputs] if isinstance(inputs, str | os.PathLike) else inputs
    files = find_inputs([Path(path) for path in paths], missing_ok=True)
    log = AuditLog(Path(out), files, scorer.checkpoint, scorer.checkpoint_sha256) if out else None
    verdicts = []
    for verdict in score_files(scorer, files, pictures=out is not None, **options):
        if log:
            log.write(verdict)
        if on_verdict:
            on_verdict(verdict)
        verdicts.append(verdict.without_pictures())
    return verdicts
