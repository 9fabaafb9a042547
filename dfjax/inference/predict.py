"""Scores files with a trained detector, and writes a log and pictures: `dfjax.predict`."""

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dfjax import processes
from dfjax.console import say
from dfjax.data.beam_pipeline import make_beam
from dfjax.errors import UsageError
from dfjax.inference.audit_log import AuditLog, check_folder, name_pages
from dfjax.inference.clip_overrides import list_overrides
from dfjax.inference.detector import Detector
from dfjax.inference.ensemble import Ensemble, load_ensemble
from dfjax.inference.judgement import Judge, find_judge
from dfjax.inference.media import find_inputs
from dfjax.inference.predict_on_beam import finish_verdict, make_beam_score
from dfjax.inference.reporting.pages import write_pages
from dfjax.inference.score_inputs import score_files
from dfjax.inference.verdict import Verdict
from dfjax.inference.verdict_text import read_verdict, write_verdict
from dfjax.outputs import check_outputs

AnyPath = str | os.PathLike[str]

Score = Callable[[Sequence[Path]], Iterator[Verdict]]
"""Function that yields the verdict on each of some files, in order."""


def predict(
    detector: AnyPath | Detector,
    inputs: AnyPath | Sequence[AnyPath],
    *,
    out: AnyPath | None = None,
    checkpoint: str = "best",
    ensemble: Sequence[AnyPath] = (),
    model: str = "",
    passes: int = 0,
    flip: bool = False,
    seed: int = 0,
    calibrated: bool = True,
    false_alarm_rate: float | None = None,
    miss_rate: float | None = None,
    html: bool = False,
    on_verdict: Callable[[Verdict], None] | None = None,
    beam_runner: str | None = None,
    beam_options: str = "",
    **options: Any,
) -> list[Verdict]:
    """Returns the verdicts on videos and images, in the order of the inputs.

    For a file that cannot be read, the `error` of the verdict is the reason.

    Args:
        detector: Workdir of a training run, a safetensors file, or a detector from `dfjax.load`.
        inputs: One or more paths of files or folders. Folders are searched recursively.
        out: Folder for a picture of each input and the log `predictions.jsonl`; None for no files.
        checkpoint: `best` or `last`, where `detector` is a workdir.
        ensemble: Workdirs of further members, or `best` and `last` for checkpoints of the first.
        model: Name of the config of a safetensors file whose header does not have the config.
        passes: Number of passes of Monte-Carlo dropout; 0 means without dropout.
        flip: Whether mirror images are scored too.
        seed: Seed of the passes.
        calibrated: Whether the calibration in the workdir is used, where there is one.
        false_alarm_rate: Error rate of verdicts on real videos; None for that of the calibration.
        miss_rate: Error rate of verdicts on fakes; None for that of the calibration.
        html: Whether a page on each input, with heat maps of a single detector, is written too.
        on_verdict: Function that is called with each verdict at once, before drift is judged.
        beam_runner: Runner of Apache Beam, which divides the inputs over its workers.
        beam_options: Options of that runner, as on a command line.
        **options: Further arguments of `score_files`, such as `clips`, `batch_size` or `workers`.

    Raises:
        UsageError: A workdir does not exist, an option is invalid, or `out` holds other files.
    """
    files, pages = _find_files(inputs, out, html)
    beam = make_beam(Path(out) if out else None, beam_runner, beam_options)
    draws: dict[str, Any] = {"model": model, "passes": passes, "flip": flip, "seed": seed}
    scorer = load_ensemble(detector, checkpoint, ensemble=ensemble, **draws)
    overrides = list_overrides(scorer.config, options)
    judge = find_judge(scorer, calibrated, false_alarm_rate, miss_rate, overrides)
    log = AuditLog(Path(out), files, scorer.checkpoint, scorer.checkpoint_sha256) if out else None
    score: Score = functools.partial(_score, scorer, judge, log, options)
    if beam and log:
        loading = (detector, checkpoint, ensemble, draws)
        score = make_beam_score(beam, scorer, loading, judge, log.pictures, options)
    verdicts = _conclude(score_together(score, files), judge, log, on_verdict)
    write_pages(scorer, verdicts, pages if processes.is_first() else {}, options)
    return verdicts


def _conclude(
    scored: Iterator[Verdict],
    judge: Judge | None,
    log: AuditLog | None,
    on_verdict: Callable[[Verdict], None] | None,
) -> list[Verdict]:
    """Returns the verdicts, whose guarantee holds or not, and writes their lines to the log.

    With a calibration the lines wait until all inputs are scored, which drift is judged from. After
    an interruption they say that it was not.
    """
    verdicts: list[Verdict] = []
    notes: list[str] = []
    writes = log is not None and processes.is_first()
    try:
        for verdict in scored:
            verdicts.append(verdict)
            if on_verdict:
                on_verdict(verdict)
            if log and writes and not judge:
                log.write(verdict)
        if judge:
            verdicts, notes = judge.conclude(verdicts)
    finally:
        if log and writes and judge:
            log.write(*verdicts)
    for note in notes:
        say(f"note: {note}")
    return verdicts


def _find_files(
    inputs: AnyPath | Sequence[AnyPath], out: AnyPath | None, html: bool
) -> tuple[list[Path], dict[str, Path]]:
    """Returns the files to score, and the pages to write, after checking what would be replaced."""
    paths = [inputs] if isinstance(inputs, str | os.PathLike) else inputs
    files = find_inputs([Path(path) for path in paths], missing_ok=True)
    if html and not out:
        raise UsageError("html needs out, the folder of the pages")
    if out:
        check_folder(Path(out), files)
    pages = name_pages(Path(out), files) if out and html else {}
    check_outputs(pages.values(), inputs=files)
    return files, pages


def _score(
    scorer: Ensemble,
    judge: Judge | None,
    log: AuditLog | None,
    options: dict[str, Any],
    files: Sequence[Path],
) -> Iterator[Verdict]:
    """Yields the verdict on each file, whose picture is drawn if there is a log."""
    for verdict in score_files(scorer, files, pictures=log is not None, **options):
        picture = log.pictures[verdict.input] if log else None
        yield finish_verdict(verdict, scorer, judge, picture)


def score_together(score: Score, files: Sequence[Path]) -> Iterator[Verdict]:
    """Yields the verdict on each file, in order; several processes take turns with the files.

    Args:
        score: Function that scores some files.
        files: Files, the same in all processes.
    """
    if processes.count() == 1:
        yield from score(files)
        return
    key = processes.make_key()
    mine = range(processes.index(), len(files), processes.count())
    scored = dict(zip(mine, score([files[number] for number in mine])))
    for number, verdict in scored.items():
        processes.publish(f"{key}/{number}", write_verdict(verdict))
    for number in range(len(files)):
        if number in scored:
            yield scored[number]
        else:
            yield read_verdict(processes.await_value(f"{key}/{number}"))
    processes.wait_for_all()
