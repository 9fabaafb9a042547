"""Restores the faces of files with a trained generator and marks the results: `dfjax.defake`."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dfjax.console import say, track
from dfjax.data.faces.crops import Cutting
from dfjax.data.faces.detectors.precomputed import Precomputed
from dfjax.data.faces.extract import open_detector
from dfjax.data.faces.marks import is_restored, make_mark, read_sidecar, write_sidecar
from dfjax.data.faces.settings import ExtractionSettings, Override, check_settings, follow_recipe
from dfjax.data.faces.video import probe
from dfjax.errors import InputError, UsageError
from dfjax.experiment.builders import make_sampling
from dfjax.experiment.run_data import find_recipe
from dfjax.files import lock_folder
from dfjax.inference.ensemble import load_ensemble
from dfjax.inference.restoring.load_restorer import load_restorer
from dfjax.inference.restoring.output_files import check_places, find_finished, name_outputs
from dfjax.inference.restoring.restore_file import Restorer, RestoringSettings, restore_file
from dfjax.inference.restoring.results import RestoredFile, RestoredFiles
from dfjax.inference.score_inputs import ClipScorer, score_files
from dfjax.outputs import check_inside, mark_folder

AnyPath = str | os.PathLike[str]

FACES = ("best", "all")


def defake(
    generator: AnyPath | Restorer,
    inputs: AnyPath | Sequence[AnyPath],
    out: AnyPath,
    *,
    detector: Any = None,
    checkpoint: str = "best",
    visible_mark: bool = True,
    faces: str = "best",
    overlap: int | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    on_file: Callable[[RestoredFile], None] | None = None,
    **cutting: Any,
) -> RestoredFiles:
    """Restores the faces of videos and images, and returns what was done.

    An image becomes a PNG file and a video an MP4 file with its audio, below `out` by the name of
    the input, or by its path inside of a folder that was given. Files that an earlier call has
    finished with the same checkpoint and settings are skipped. Every result is marked; see
    `dfjax.data.faces.marks`.

    Args:
        generator: Workdir of a training run of a generator, or the generator.
        inputs: One or more paths of files or folders. Folders are searched recursively.
        out: Folder for the results, which must not be inside of an input folder.
        detector: Workdir, safetensors file or detector whose scores before and after restoration
            are computed; None for none.
        checkpoint: `best` or `last`, where `generator` is a workdir.
        visible_mark: Whether a label is drawn in the corner of every frame.
        faces: `best` for the main face, or `all` for every persistent face.
        overlap: Number of frames that two windows share; None for a quarter of a window.
        batch_size: Number of clips that are restored at a time; None for `eval.batch_size` of the
            config.
        workers: Number of processes that decode for `detector`; None for the number of cores.
        on_file: Function that is called with the result of every file, without scores.
        **cutting: What replaces the crop recipe: `face_detector`, `face_model`, `margin`, `align`.

    Raises:
        UsageError: An argument is invalid, or `out` holds other files, or is inside of an input
            folder, or contains an input.
    """
    given = [inputs] if isinstance(inputs, str | os.PathLike) else inputs
    paths, folder = [Path(path) for path in given], Path(out)
    named = list(name_outputs(paths))
    check_places(folder, paths, [path for path, _ in named])
    restorer = load_restorer(generator, checkpoint)
    extraction, notes = _follow(restorer, **cutting)
    settings = _make_settings(restorer, extraction, faces, overlap, batch_size, visible_mark)
    scorer = None if detector is None else load_ensemble(detector)  # errors come before the work
    job = _Job(restorer, extraction, settings, folder)
    results = []
    with lock_folder(folder):
        mark_folder(folder)
        for path, name in track(named, total=len(named), what="restoring"):
            results.append(job.run(path, folder / name))
            if on_file:
                on_file(results[-1])
        scored = results if scorer is None else _score(results, scorer, workers, cutting)
    return RestoredFiles(scored, folder, notes)


@dataclasses.dataclass(frozen=True)
class _Job:
    restorer: Restorer
    cutting: ExtractionSettings
    settings: RestoringSettings
    out: Path

    def run(self, path: Path, stem: Path) -> RestoredFile:
        """Restores one file unless it is finished; an input that cannot be used is an error."""
        try:
            return self._run(path, stem)
        except InputError as error:
            return RestoredFile(path, None, "error", error=str(error))

    def _run(self, path: Path, stem: Path) -> RestoredFile:
        info = probe(path)
        if is_restored(path):
            raise InputError("is marked as restored by a model already")
        target = stem.with_name(stem.name + (".png" if info.n_frames == 1 else ".mp4"))
        check_inside(target, self.out)
        mark = make_mark(
            path.absolute(),
            info.sha256,
            self.restorer.checkpoint,
            self.restorer.checkpoint_sha256,
            self._describe(),
        )
        if (work := find_finished(target, mark)) is not None:
            return RestoredFile(path, target, "complete", work)
        cutting = self.cutting
        detector = open_detector(cutting.detector, cutting.detector_model, cutting.min_face)
        assert not isinstance(detector, Precomputed), "follow_recipe refuses precomputed faces"
        work = restore_file(
            path,
            target,
            info,
            mark,
            generator=self.restorer,
            detector=detector,
            settings=self.settings,
        )
        return RestoredFile(path, target, "restored", work)

    def _describe(self) -> dict[str, Any]:
        """Returns the settings that determine a result, for the sidecar."""
        settings = self.settings
        return {
            "visible_mark": settings.visible_mark,
            "faces": "all" if settings.every_face else "best",
            "overlap": settings.overlap,
            "face_detector": self.cutting.detector,
            "margin": settings.how.margin,
            "align": settings.how.align,
            "size": settings.how.size,
        }


def _follow(
    restorer: Restorer,
    face_detector: str | None = None,
    face_model: AnyPath | None = None,
    margin: float | None = None,
    align: bool | None = None,
) -> tuple[ExtractionSettings, list[str]]:
    config = restorer.config
    cutting, notes = follow_recipe(
        find_recipe(config),
        make_sampling(config),
        size=config.data.crop_size,
        detector_model=None if face_model is None else os.fspath(face_model),
        override=Override(face_detector, margin, align),
    )
    check_settings(cutting)
    return cutting, notes


def _make_settings(
    restorer: Restorer,
    cutting: ExtractionSettings,
    faces: str,
    overlap: int | None,
    batch_size: int | None,
    visible_mark: bool,
) -> RestoringSettings:
    frames = restorer.config.data.frames
    longest = frames // 2
    overlap = frames // 4 if overlap is None else overlap
    batch_size = restorer.config.eval.batch_size if batch_size is None else batch_size
    if not 0 <= overlap <= longest:
        raise UsageError(f"overlap must be from 0 to {longest}, half a window, not {overlap}")
    if batch_size < 1:
        raise UsageError(f"batch_size must be positive, not {batch_size}")
    if faces not in FACES:
        raise UsageError(f"faces must be one of {', '.join(FACES)}, not {faces!r}")
    return RestoringSettings(
        how=Cutting(cutting.size, cutting.margin, cutting.align),
        every_face=faces == "all",
        overlap=overlap,
        batch_size=batch_size,
        visible_mark=visible_mark,
        searched=cutting.detector != "none",
    )


def _score(
    results: list[RestoredFile], scorer: ClipScorer, workers: int | None, cutting: dict[str, Any]
) -> list[RestoredFile]:
    """Returns the results with the scores of a detector, which are added to the sidecars too.

    Its crops are of the face detector that `cutting` names, and otherwise of its own recipe.
    """
    done = [result for result in results if result.output is not None]
    files = [path for result in done for path in (result.input, result.output) if path]
    found: dict[str, Any] = {key: cutting.get(key) for key in ("face_detector", "face_model")}
    verdicts = list(score_files(scorer, files, workers=workers, **found))
    scored = {}
    for result, before, after in zip(done, verdicts[::2], verdicts[1::2]):
        for verdict in (before, after):
            if verdict.error:
                say(f"note: no score: {verdict.to_line()}")
        made = dataclasses.replace(result, before=before.fake_prob, after=after.fake_prob)
        scored[result.input] = made
        scores = {"detector": scorer.checkpoint_sha256, "before": made.before, "after": made.after}
        if made.output and (mark := read_sidecar(made.output)):
            write_sidecar(made.output, mark | {"scores": scores})
    return [scored.get(result.input, result) for result in results]
