"""Scores files with a trained detector, and writes a log and pictures: `dfjax.predict`."""

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dfjax import processes
from dfjax.data.beam_pipeline import make_beam
from dfjax.errors import UsageError
from dfjax.experiment.run_data import find_recipe
from dfjax.inference.audit_log import AuditLog, check_folder, name_pages
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
        false_alarm_rate: Error rate of verdicts; None for those of the calibration.
        html: Whether a page on each input, with heat maps of a single detector, is written too.
        on_verdict: Function that is called with each verdict as soon as it is computed.
        beam_runner: Runner of Apache Beam, which divides the inputs over its workers.
        beam_options: Options of that runner, as on a command line.
        **options: Further arguments of `score_files`, for example `clips`, `face_detector`,
            `batch_size` or `workers`.

    Raises:
        UsageError: A workdir or checkpoint does not exist, detectors are incompatible, an option is
            invalid, or `out` holds an input or another file that would be replaced.
    """
    files, pages = _find_files(inputs, out, html)
    beam = make_beam(Path(out) if out else None, beam_runner, beam_options)
    draws: dict[str, Any] = {"model": model, "passes": passes, "flip": flip, "seed": seed}
    scorer = load_ensemble(detector, checkpoint, ensemble=ensemble, **draws)
    judge = find_judge(scorer, calibrated, false_alarm_rate, _list_overrides(scorer, options))
    log = AuditLog(Path(out), files, scorer.checkpoint, scorer.checkpoint_sha256) if out else None
    score: Score = functools.partial(_score, scorer, judge, log, options)
    if beam and log:
        loading = (detector, checkpoint, ensemble, draws)
        score = make_beam_score(beam, scorer, loading, judge, log.pictures, options)
    verdicts = list(_report(score_together(score, files), log, on_verdict))
    verdicts = judge.conclude(verdicts) if judge else verdicts
    write_pages(scorer, verdicts, pages if processes.is_first() else {}, options)
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


def _report(
    verdicts: Iterable[Verdict], log: AuditLog | None, on_verdict: Callable[[Verdict], None] | None
) -> Iterator[Verdict]:
    """Yields the verdicts, after each is written to the log and passed to `on_verdict`."""
    for verdict in verdicts:
        if log and processes.is_first():
            log.write(verdict)
        if on_verdict:
            on_verdict(verdict)
        yield verdict


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


def _list_overrides(scorer: Ensemble, options: Mapping[str, Any]) -> list[str]:
    """Returns the arguments by which clips are made otherwise than those of the training data."""
    recipe, made = find_recipe(scorer.config), {"clips": scorer.config.data.eval_clips}
    if recipe is not None:
        made |= {
            "face_detector": recipe.detector,
            "margin": recipe.margin,
            "align": recipe.align,
        }
    cutting = ("clips", "face_detector", "margin", "align")
    given = {name: options[name] for name in cutting if options.get(name) is not None}
    return [name for name, value in given.items() if name not in made or made[name] != value]
