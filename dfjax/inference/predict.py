"""Scores files with a trained detector, and writes what is said of each: `dfjax.predict`."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from dfjax.inference.audit_log import AuditLog
from dfjax.inference.detector import Detector
from dfjax.inference.ensemble import load_ensemble
from dfjax.inference.media import find_inputs
from dfjax.inference.score_inputs import make_settings, score_files
from dfjax.inference.verdict import Verdict

AnyPath = str | os.PathLike[str]


def predict(
    detector: AnyPath | Detector,
    inputs: AnyPath | Sequence[AnyPath],
    *,
    out: AnyPath | None = None,
    checkpoint: str = "best",
    clips: int | None = None,
    face_detector: str | None = None,
    face_model: str | None = None,
    align: bool | None = None,
    ensemble: Sequence[AnyPath] = (),
    passes: int = 0,
    flip: bool = False,
    seed: int = 0,
    batch_size: int | None = None,
    workers: int | None = None,
    time_limit: float = 600.0,
    on_verdict: Callable[[Verdict], None] | None = None,
) -> list[Verdict]:
    """Returns the verdict on every video and image, in their order.

    A file that cannot be read gives a verdict whose `error` says why.

    Args:
        detector: Workdir of a training run, or a detector from `dfjax.load`.
        inputs: Path of a file or a folder, or several. Folders are searched to any depth.
        out: Folder for a picture per input and the log `predictions.jsonl`; None writes nothing.
        checkpoint: `best` or `last`, where `detector` is a workdir.
        clips: Number of clips per input, 0 for as many as cover it; None takes the config's.
        face_detector: Name of the face detector; `none` takes every frame as a face crop.
        face_model: Model file of the face detector.
        align: Whether faces are turned upright.
        ensemble: Further workdirs whose detectors score too, or `best` and `last` of the first.
        passes: Number of passes of Monte-Carlo dropout; 0 means without dropout.
        flip: Whether mirror images are scored too.
        seed: Seed of the passes.
        batch_size: Number of clips per batch; None takes the config's, at most 32.
        workers: Number of processes that decode; None takes the number of cores.
        time_limit: Seconds per input, after which it is given up.
        on_verdict: Function that is called with each verdict as soon as it is there.

    Raises:
        UsageError: No such workdir or checkpoint, or detectors that do not fit together.
    """
    scorer = load_ensemble(
        detector, checkpoint, ensemble=ensemble, passes=passes, flip=flip, seed=seed
    )
    settings = make_settings(
        scorer.config,
        clips=clips,
        face_detector=face_detector,
        face_model=face_model,
        align=align,
        pictures=out is not None,
    )
    paths = [inputs] if isinstance(inputs, str | os.PathLike) else inputs
    files = find_inputs([Path(path) for path in paths], missing_ok=True)
    log = AuditLog(Path(out), files, scorer.checkpoint, scorer.checkpoint_sha256) if out else None
    verdicts = []
    for verdict in score_files(
        scorer, files, settings, batch_size=batch_size, workers=workers, time_limit=time_limit
    ):
        if log:
            log.write(verdict)
        if on_verdict:
            on_verdict(verdict)
        verdicts.append(verdict.without_pictures())
    return verdicts
