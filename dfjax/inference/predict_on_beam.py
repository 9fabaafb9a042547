"""Scores files on Apache Beam: its workers read faces, load the detector, score and draw."""

import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dfjax.data.beam_pipeline import Beam, Stage, run_on_beam
from dfjax.data.faces.worker_pool import Outcome, run_tasks
from dfjax.errors import UsageError
from dfjax.inference.audit_log import draw_picture
from dfjax.inference.detector import Detector
from dfjax.inference.ensemble import Ensemble, load_ensemble
from dfjax.inference.judgement import Judge
from dfjax.inference.media import PredictionSettings, Prepared, Unusable, prepare_input
from dfjax.inference.score_inputs import plan_scoring, score_entries
from dfjax.inference.verdict import Verdict, fuse_verdict, make_verdict
from dfjax.inference.verdict_text import read_verdict, write_verdict
from dfjax.object_stores import is_url
from dfjax.training.checkpoint import KINDS

CHUNK = 4
"""Number of inputs that are read before they are scored, as their clips are held in memory."""


class Loading(NamedTuple):
    """The arguments of `load_ensemble`, by which each worker loads the detector once."""

    detector: str
    checkpoint: str
    ensemble: tuple[str, ...]
    draws: tuple[tuple[str, Any], ...]


class Read(NamedTuple):
    """An input with its clips.

    Attributes:
        name: Path of the input as it was given.
        picture: PNG file to draw.
        prepared: Its clips.
    """

    name: str
    picture: str
    prepared: Prepared


def finish_verdict(
    verdict: Verdict, scorer: Ensemble, judge: Judge | None, picture: Path | None
) -> Verdict:
    """Returns a verdict by the rule of a fusion and the calibration, and draws its picture.

    Args:
        verdict: Verdict on an input by the mean of its clips.
        scorer: Detectors.
        judge: Calibration, if there is one.
        picture: PNG file, or None for no picture.
    """
    verdict = fuse_verdict(verdict, scorer.fuse_means)
    verdict = judge(verdict) if judge else verdict
    if picture is not None:
        draw_picture(verdict, picture)
    return verdict.without_pictures()


def make_beam_score(
    beam: Beam,
    scorer: Ensemble,
    loading: tuple[Any, str, Sequence[Any], Mapping[str, Any]],
    judge: Judge | None,
    pictures: Mapping[str, Path],
    options: dict[str, Any],
) -> Callable[[Sequence[Path]], Iterator[Verdict]]:
    """Returns the function that yields the verdicts on some files, in order.

    Args:
        beam: Where the pipeline runs.
        scorer: Detectors, whose config says how clips are cut.
        loading: First argument of `load_ensemble`, checkpoint, further members, and the others.
        judge: Calibration, if there is one.
        pictures: PNG file of each input.
        options: Arguments of `score_files`.

    Raises:
        UsageError: The detector has no path by which workers can load it, or an option is invalid.
    """
    detector, checkpoint, ensemble, draws = loading
    if isinstance(detector, Detector):
        raise UsageError("beam_runner needs a workdir or a weights file, which its workers load")
    members = (name if name in KINDS else _absolute(name) for name in map(str, ensemble))
    load = Loading(_absolute(detector), checkpoint, tuple(members), tuple(sorted(draws.items())))
    settings, size, _, time_limit = plan_scoring(scorer, **options, pictures=True)
    stages = [
        Stage("read_faces", functools.partial(read_faces, settings, time_limit)),
        Stage("score", functools.partial(score_chunk, load, judge, size)),
    ]

    def score(files: Sequence[Path]) -> Iterator[Verdict]:
        names = [str(file) for file in files]
        items = [(name, _absolute(name), _absolute(pictures[name])) for name in names]
        beam.clear()
        for position, text, error in run_on_beam(beam, stages, items, names, chunk=CHUNK):
            if text is None:
                yield make_verdict(names[position], str(error), {})
            else:
                yield read_verdict(text)

    return score


def _absolute(path: str | os.PathLike[str]) -> str:
    return os.fspath(path) if is_url(path) else os.path.abspath(path)


def read_faces(
    settings: PredictionSettings, time_limit: float, items: Sequence[Sequence[str]]
) -> Iterator[Outcome]:
    """Yields the clips of inputs (`Read`), which another process reads, or why there are none.

    Args:
        settings: How clips are cut.
        time_limit: Seconds per input.
        items: Name, absolute path and picture of each input.
    """
    read, paths = functools.partial(prepare_input, settings), [path for _, path, _ in items]
    for position, value, error in run_tasks(read, paths, workers=1, time_limit=time_limit):
        name, _, picture = items[position]
        if isinstance(value, Unusable):
            text = write_verdict(make_verdict(name, value, {}))
            yield Outcome(position, text, value.error)
        elif error is None:
            yield Outcome(position, Read(name, picture, value), None)
        else:
            yield Outcome(position, None, error)


def score_chunk(
    load: Loading, judge: Judge | None, batch_size: int, inputs: Sequence[Read]
) -> Iterator[Outcome]:
    """Yields the verdicts on some inputs as text (`write_verdict`), and draws their pictures.

    Args:
        load: How the detector is loaded.
        judge: Calibration, if there is one.
        batch_size: Number of clips per batch.
        inputs: Inputs with their clips.
    """
    scorer = _load(load)
    entries = [(one.name, one.prepared) for one in inputs]
    for position, verdict in enumerate(score_entries(scorer, entries, batch_size)):
        done = finish_verdict(verdict, scorer, judge, Path(inputs[position].picture))
        yield Outcome(position, write_verdict(done), done.error)


@functools.lru_cache(maxsize=1)
def _load(load: Loading) -> Ensemble:
    return load_ensemble(load.detector, load.checkpoint, ensemble=load.ensemble, **dict(load.draws))
