"""Scoring of inputs with a trained detector, in the order given, and what is written about them."""

import datetime
import functools
import json
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from ml_collections import ConfigDict

import dfjax
from dfjax.console import track
from dfjax.data.clips.sampling import for_evaluation
from dfjax.data.faces.worker_pool import run_tasks
from dfjax.evaluation.scoring import Scores
from dfjax.evaluation.sheets import Strip, draw_strip
from dfjax.experiment.builders import make_sampling
from dfjax.experiment.compilation_cache import use_compilation_cache
from dfjax.inference.detector import make_batch
from dfjax.inference.ensemble import load_ensemble
from dfjax.inference.media import Prepared, Settings, compute_sha256, prepare
from dfjax.shapes import HostBatch

BATCH_SIZE = 32  # at most, unless asked for: what a run evaluated with fits into its memory
CLIPS = 8  # of an input, where evaluation takes as many as cover a video: it may be a film


@runtime_checkable
class ClipScorer(Protocol):
    """A detector or an ensemble: what `Ensemble.score` and `Ensemble.config` say."""

    @property
    def config(self) -> ConfigDict:
        """Config of the (first) detector."""
        ...

    def score(
        self, batches: Iterable[HostBatch], *, batch_size: int = 0
    ) -> Iterator[tuple[HostBatch, Scores]]:
        """Yields every batch with its scores."""
        ...


Entry = tuple[Path, Prepared | str]  # an input, and its clips or what is wrong with it


def predict(
    workdir: Path,
    inputs: Sequence[Path],
    *,
    out: Path | None = None,
    checkpoint: str = "best",
    batch_size: int | None = None,
    clips: int | None = None,
    face_detector: str = "haar",
    face_model: str | None = None,
    align: bool = False,
    workers: int | None = None,
    time_limit: float = 600.0,
    **scoring: Any,
) -> Iterator[dict[str, Any]]:
    """Yields one result per input, in their order: `{"input", "status", "fake_prob", …}`.

    Clips of several inputs share a batch, which always has the same size, padded if need be: a
    score does not depend on what else was asked for.

    Args:
        workdir: Workdir of the detector.
        inputs: Files to score.
        out: Folder for the strips and `predictions.jsonl`; None writes nothing.
        checkpoint: `best` or `last`.
        batch_size: Number of clips per batch; None takes the config's, at most 32.
        clips: Number of clips per input, 0 for as many as cover it; None takes the config's, or 8
            where the config covers the input.
        face_detector: Name of the face detector; `none` takes every frame as a face crop.
        face_model: Model file of the face detector, for YuNet.
        align: Turn every face upright.
        workers: Number of processes that decode; None takes the number of cores.
        time_limit: Seconds per input, after which it is given up.
        **scoring: Further arguments of `load_ensemble`.
    """
    ensemble = load_ensemble(workdir, checkpoint, **scoring)
    use_compilation_cache()
    d = ensemble.config.data
    settings = Settings(
        sampling=for_evaluation(make_sampling(ensemble.config)),
        clips=(d.eval_clips or CLIPS) if clips is None else clips,
        size=d.crop_size,
        detector=face_detector,
        detector_model=face_model,
        align=align,
        pictures=out is not None,
    )
    inputs = list(inputs)
    log = AuditLog(out, inputs, ensemble.checkpoint, ensemble.checkpoint_sha256) if out else None
    workers = workers or os.cpu_count() or 1
    read = read_in_order(settings, inputs, workers=workers, time_limit=time_limit)
    entries = track(read, total=len(inputs), what="reading")
    batch_size = batch_size or min(BATCH_SIZE, ensemble.config.eval.batch_size)
    for path, prepared, scores in score_entries(ensemble, entries, batch_size):
        result = make_result(path, prepared, scores)
        if log:
            log.write(path, result, prepared, scores)
        yield result


def read_in_order(
    settings: Settings, inputs: list[Path], *, workers: int, time_limit: float
) -> Iterator[Entry]:
    """Yields every input with its clips, or with the reason why there are none."""
    tasks = [str(path) for path in inputs]
    function = functools.partial(prepare, settings)
    waiting: dict[int, Prepared | str] = {}
    following = 0
    for outcome in run_tasks(function, tasks, workers=workers, time_limit=time_limit):
        waiting[outcome.position] = outcome.value if outcome.error is None else outcome.error
        while following in waiting:
            yield inputs[following], waiting.pop(following)
            following += 1


def score_entries(
    scorer: ClipScorer, entries: Iterator[Entry], batch_size: int
) -> Iterator[tuple[Path, Prepared | str, Scores]]:
    """Yields every input with the scores of its clips, once all of them have been in a batch.

    Args:
        scorer: Detector or ensemble.
        entries: Inputs with their clips.
        batch_size: Number of clips per batch.
    """
    open_entries: deque[Entry] = deque()
    scored: list[dict[str, float]] = []  # of clips of the open entries, in order
    clips: list[np.ndarray] = []
    masks: list[np.ndarray] = []

    def flush() -> None:
        flow = scorer.config.data.flow
        batch = make_batch(np.stack(clips), np.stack(masks), flow=flow)
        ((_, columns),) = scorer.score([batch], batch_size=batch_size)
        scored.extend(dict(zip(columns, values)) for values in zip(*columns.values()))
        clips.clear()
        masks.clear()

    def closed() -> Iterator[tuple[Path, Prepared | str, Scores]]:
        while open_entries:
            path, prepared = open_entries[0]
            count = 0 if isinstance(prepared, str) else len(prepared.clips)
            if count > len(scored):
                return
            names = scored[0] if count else {}
            yield path, prepared, {n: np.array([row[n] for row in scored[:count]]) for n in names}
            del scored[:count]
            open_entries.popleft()

    for entry in entries:
        open_entries.append(entry)
        if isinstance(entry[1], Prepared):
            for clip, mask in zip(entry[1].clips, entry[1].mask):
                clips.append(clip)
                masks.append(mask)
                if len(clips) == batch_size:
                    flush()
        yield from closed()
    if clips:
        flush()
    yield from closed()


def make_result(path: Path, prepared: Prepared | str, scores: Scores) -> dict[str, Any]:
    """Returns the JSON form of CONTRACTS for one input; all scores are means over its clips."""
    result: dict[str, Any] = {
        "input": str(path), "status": "ok", "fake_prob": None, "confidence": None,
        "verdict": None, "frames_used": 0, "faces_missed": 0, "error": None,
    }  # fmt: skip
    if isinstance(prepared, str):
        return result | {"status": "error", "error": prepared}
    means = {name: float(values.mean()) for name, values in scores.items() if name != "logit"}
    prob = means["fake_prob"]
    if not np.isfinite(prob):
        return result | {"status": "error", "error": "the detector gives no finite score"}
    return result | {
        "confidence": max(prob, 1.0 - prob),
        "verdict": "fake" if prob >= 0.5 else "real",
        "frames_used": prepared.frames_used,
        "faces_missed": prepared.faces_missed,
        **means,
    }


class AuditLog:
    """`predictions.jsonl`, a line per input ever scored into a folder, and the strips beside it."""

    def __init__(
        self, folder: Path, inputs: list[Path], checkpoint: str, checkpoint_sha256: str
    ) -> None:
        """Makes the folder and gives every input a picture's name, numbered where names repeat."""
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "predictions.jsonl"
        self.checkpoint = checkpoint
        self.checkpoint_sha256 = checkpoint_sha256
        self.pictures: dict[Path, Path] = {}
        used: set[str] = set()
        for path in inputs:
            name, number = path.stem, 1
            while name in used:
                number += 1
                name = f"{path.stem}-{number}"
            used.add(name)
            self.pictures[path] = folder / f"{name}.png"

    def write(
        self, path: Path, result: dict[str, Any], prepared: Prepared | str, scores: Scores
    ) -> None:
        """Appends the audit line of one input, and draws its strip if it was scored."""
        line = {
            **result,
            "input_sha256": compute_sha256(path) if isinstance(prepared, str) else prepared.sha256,
            "checkpoint": self.checkpoint,
            "checkpoint_sha256": self.checkpoint_sha256,
            "version": dfjax.__version__,
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if not isinstance(prepared, str) and result["status"] == "ok":
            title = path.name.encode("utf-8", "replace").decode()  # names may not be text
            strip = make_strip(prepared, scores["fake_prob"])
            draw_strip(strip, self.pictures[path], title=title, fake_prob=result["fake_prob"])


def make_strip(prepared: Prepared, probs: np.ndarray) -> Strip:
    """Returns what the strip of a scored input shows."""
    pictures = prepared.pictures
    assert pictures is not None, "prepare() was not asked for pictures"
    used = [row[mask] for row, mask in zip(prepared.position, prepared.mask)]
    return Strip(
        frames=pictures.frames,
        boxes=pictures.boxes,
        found=pictures.found,
        numbers=pictures.numbers,
        clip_starts=[int(row[0]) for row in used],
        clip_ends=[int(row[-1]) for row in used],
        clip_probs=probs.tolist(),
    )
