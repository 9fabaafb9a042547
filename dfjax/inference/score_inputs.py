"""Scores videos, images and frames: cuts clips, batches them and averages their scores."""

import functools
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from ml_collections import ConfigDict

from dfjax.console import say, track
from dfjax.data.clips.sampling import for_evaluation
from dfjax.data.faces.settings import Override, check_settings, follow_recipe
from dfjax.data.faces.worker_pool import check_limits, run_tasks
from dfjax.data.store.flow import compute_clip_flow
from dfjax.errors import UsageError
from dfjax.evaluation.scoring.scorer import Scores
from dfjax.experiment.builders import make_sampling
from dfjax.experiment.run_data import find_recipe
from dfjax.inference.batch_size import choose_batch_size
from dfjax.inference.frames import check_frames, prepare_clip, prepare_frames
from dfjax.inference.media import PredictionSettings, Prepared, Unusable, prepare_input
from dfjax.inference.verdict import Verdict, make_verdict
from dfjax.shapes import HostBatch

MOST_CLIPS = 100  # upper limit of the default number of clips, since an input may be a long film

BACKLOG_BYTES = 256 * 2**20
"""Size of the clips and pictures that may wait for an earlier input; beyond it none is begun."""

Entry = tuple[str, Prepared | Unusable | str]
"""Name of an input, and its clips or the reason why there are none."""


@runtime_checkable
class ClipScorer(Protocol):
    """A detector or an ensemble."""

    @property
    def config(self) -> ConfigDict:
        """Config of the detector or of the first member, by which clips are cut."""
        ...

    @property
    def checkpoint_sha256(self) -> str:
        """Hash of the checkpoint's files."""
        ...

    def score(
        self, batches: Iterable[HostBatch], *, batch_size: int = 0
    ) -> Iterator[tuple[HostBatch, Scores]]:
        """Yields every batch with its scores; batches are padded to `batch_size` to score them."""
        ...


def make_settings(
    config: ConfigDict,
    *,
    clips: int | None = None,
    face_detector: str | None = None,
    face_model: str | os.PathLike[str] | None = None,
    margin: float | None = None,
    align: bool | None = None,
    pictures: bool = False,
    min_face_share: float | None = None,
) -> tuple[PredictionSettings, list[str]]:
    """Returns the settings of a detector's clips, and notes on how they differ from training.

    Faces are detected and cropped by the crop recipe of the training data, except where an argument
    overrides it.

    Args:
        config: Config of the detector.
        clips: Number of clips per input; 0 for as many as cover the input, None for
            `data.eval_clips` of the config with at most `MOST_CLIPS`.
        face_detector: Name of the face detector; None for that of the recipe.
        face_model: Model file of the face detector.
        margin: Side of the crop as a multiple of the side of the face; None for that of the recipe.
        align: Whether faces are rotated upright; None for what the recipe says.
        pictures: Whether frames are kept for a figure.
        min_face_share: Least share of the frames used in which a face must be detected, from 0
            to 1; None for `eval.min_face_share` of the config. Where no face is detected at all,
            an input is never scored.

    Raises:
        UsageError: The settings are invalid, or the recipe cannot be followed.
    """
    if clips is not None and clips < 0:
        raise UsageError(f"clips must not be negative, it is {clips}")
    if min_face_share is None:
        min_face_share = float(config.eval.min_face_share)
    if not 0 <= min_face_share <= 1:
        raise UsageError(f"min_face_share must be from 0 to 1, not {min_face_share:g}")
    sampling = for_evaluation(make_sampling(config))
    cutting, notes = follow_recipe(
        find_recipe(config),
        sampling,
        size=config.data.crop_size,
        detector_model=None if face_model is None else os.fspath(face_model),
        override=Override(face_detector, margin, align),
    )
    check_settings(cutting)
    count, most = (config.data.eval_clips, MOST_CLIPS) if clips is None else (clips, 0)
    return PredictionSettings(sampling, count, most, cutting, pictures, min_face_share), notes


@functools.cache
def _note_once(checkpoint_sha256: str, text: str) -> None:
    """Prints a note about a detector on standard error, only the first time in a process."""
    say(f"note: {text}")


def score_files(
    scorer: ClipScorer,
    paths: Sequence[Path],
    *,
    batch_size: int | None = None,
    workers: int | None = None,
    time_limit: float = 600.0,
    **cutting: Any,
) -> Iterator[Verdict]:
    """Yields the verdict on each file, in the order of `paths`.

    A batch may hold clips of several inputs. All batches are padded to the same size, so that a
    score does not depend on the other inputs.

    Args:
        scorer: Detector or ensemble.
        paths: Videos and images.
        batch_size: Number of clips per batch; None for that of `choose_batch_size`.
        workers: Number of processes that decode; None for the number of cores.
        time_limit: Time limit per input in seconds; an input that exceeds it is not scored.
        **cutting: Arguments of `make_settings`: `clips`, `face_detector`, `face_model`, `margin`,
            `align`, `pictures` and `min_face_share`.

    Raises:
        UsageError: An argument is invalid.
    """
    settings, size, count, seconds = plan_scoring(
        scorer, batch_size=batch_size, workers=workers, time_limit=time_limit, **cutting
    )
    read = _read_in_order(settings, paths, workers=count, time_limit=seconds)
    entries = track(read, total=len(paths), what="reading")
    return score_entries(scorer, entries, size)


def plan_scoring(
    scorer: ClipScorer,
    *,
    batch_size: int | None = None,
    workers: int | None = None,
    time_limit: float = 600.0,
    **cutting: Any,
) -> tuple[PredictionSettings, int, int, float]:
    """Returns how files are scored: settings of clips, clips per batch, processes, time limit.

    The arguments are those of `score_files`. Notes on the settings are printed.

    Raises:
        UsageError: An argument is invalid.
    """
    settings, notes = make_settings(scorer.config, **cutting)
    if batch_size is not None and batch_size < 1:
        raise UsageError(f"batch_size must be positive, not {batch_size}")
    workers = check_limits(workers, time_limit)
    for note in notes:
        _note_once(scorer.checkpoint_sha256, note)
    size = batch_size or choose_batch_size(scorer.config)
    return settings, size, workers, time_limit


def score_arrays(
    scorer: ClipScorer, x: Any, *, clips: int | None = None, batch_size: int | None = None
) -> Iterator[Verdict]:
    """Yields the verdict on frames of one video, or the verdicts on several clips.

    Args:
        scorer: Detector or ensemble.
        x: Face crops: frames `u8[T, H, W, 3]` or clips `u8[N, T, H, W, 3]`.
        clips: Number of clips that are cut from frames; see `make_settings`.
        batch_size: Number of clips per batch; None for that of `choose_batch_size`.

    Raises:
        ValueError: The array has another dtype or shape.
    """
    settings, _ = make_settings(scorer.config, clips=clips, face_detector="none", align=False)
    array = check_frames(x, settings.sampling.frames)
    if array.ndim == 4:
        entries: Iterable[Entry] = [("frames", prepare_frames(array, settings))]
    else:
        entries = ((f"clip {i}", prepare_clip(clip)) for i, clip in enumerate(array))
    return score_entries(scorer, entries, batch_size or choose_batch_size(scorer.config))


def is_paths(x: Any) -> bool:
    """Returns whether `x` is a path or a sequence of paths."""
    path = str | os.PathLike
    return isinstance(x, path) or (isinstance(x, Sequence) and all(isinstance(p, path) for p in x))


def _read_in_order(
    settings: PredictionSettings, paths: Sequence[Path], *, workers: int, time_limit: float
) -> Iterator[Entry]:
    """Yields every file with its clips, or with the reason why there are none."""
    tasks = [str(path) for path in paths]
    function = functools.partial(prepare_input, settings)
    waiting: dict[int, Prepared | Unusable | str] = {}
    following, held = 0, 0

    def may_start() -> bool:
        return held < BACKLOG_BYTES

    outcomes = run_tasks(
        function, tasks, workers=workers, time_limit=time_limit, may_start=may_start
    )
    for outcome in outcomes:
        read = outcome.value if outcome.error is None else outcome.error
        waiting[outcome.position] = read
        held += _count_bytes(read)
        while following in waiting:
            read = waiting.pop(following)
            held -= _count_bytes(read)
            yield tasks[following], read
            following += 1


def _count_bytes(read: Prepared | Unusable | str) -> int:
    """Returns the memory of the clips of an input, and of the frames that are kept for a figure."""
    if not isinstance(read, Prepared):
        return 0
    pictures = read.origin.pictures
    return read.clips.nbytes + sum(f.nbytes for f in (pictures.frames if pictures else ()))


def score_entries(
    scorer: ClipScorer, entries: Iterable[Entry], batch_size: int
) -> Iterator[Verdict]:
    """Yields the verdict on every input as soon as all of its clips are scored.

    Args:
        scorer: Detector or ensemble.
        entries: Inputs with their clips.
        batch_size: Number of clips per batch.
    """
    open_entries: deque[Entry] = deque()
    scored: deque[dict[str, float]] = deque()  # scores of the clips of `open_entries`, in order
    clips: list[np.ndarray] = []
    masks: list[np.ndarray] = []

    def flush() -> None:
        batch = make_batch(np.stack(clips), np.stack(masks), flow=scorer.config.data.flow)
        ((_, scores),) = scorer.score([batch], batch_size=batch_size)
        scored.extend(dict(zip(scores, values)) for values in zip(*scores.values()))
        clips.clear()
        masks.clear()

    def close() -> Iterator[Verdict]:
        while open_entries:
            name, prepared = open_entries[0]
            count = len(prepared.clips) if isinstance(prepared, Prepared) else 0
            if count > len(scored):
                return
            rows = [scored.popleft() for _ in range(count)]
            columns = {key: np.array([row[key] for row in rows]) for key in rows[0]} if rows else {}
            open_entries.popleft()
            yield make_verdict(name, prepared, columns)

    for entry in entries:
        open_entries.append(entry)
        if isinstance(entry[1], Prepared):
            for clip, mask in zip(entry[1].clips, entry[1].origin.mask):
                clips.append(clip)
                masks.append(mask)
                if len(clips) == batch_size:
                    flush()
        yield from close()
    if clips:
        flush()
    yield from close()


def make_batch(clips: np.ndarray, mask: np.ndarray, *, flow: bool) -> HostBatch:
    """Returns a batch of clips.

    Args:
        clips: `u8[N, T, H, W, 3]`.
        mask: `bool[N, T]`, False on padding frames.
        flow: Whether to compute the optical flow of the clips and add it.
    """
    batch = {"clip": clips, "mask": mask}
    return batch | {"flow": compute_clip_flow(clips, mask)} if flow else batch
