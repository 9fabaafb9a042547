"""A trained detector, loaded from its workdir: `dfjax.load(workdir)("clip.mp4")`."""

import dataclasses
import functools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from dfjax.errors import UsageError
from dfjax.evaluation.scoring.scorer import Scorer, Scores, make_predict_step
from dfjax.experiment.compilation_cache import use_compilation_cache
from dfjax.experiment.saved import assemble, read_saved
from dfjax.inference.batch_size import choose_batch_size
from dfjax.inference.clip_overrides import list_overrides
from dfjax.inference.frames import read_array
from dfjax.inference.judgement import find_judge
from dfjax.inference.media import find_inputs
from dfjax.inference.score_inputs import (
    is_paths,
    make_batch,
    score_arrays,
    score_files,
)
from dfjax.inference.verdict import Verdict
from dfjax.models.registry import find_entry
from dfjax.shapes import Apply, HostBatch, Preprocess, Variables
from dfjax.store_workdirs import read_workdir_copy
from dfjax.weights.hub import is_hub_address

Array = np.ndarray


@dataclasses.dataclass
class Detector:
    """A trained detector: its config, its variables, and the functions that score clips.

    Attributes:
        config: Config that the detector was trained with.
        variables: `{"params", "batch_stats"}`. For a run on stored features they include those of
            the backbone that computed the features.
        checkpoint: Name of the checkpoint, for example `best/1200`.
        checkpoint_sha256: Hash of the checkpoint's files.
        workdir: Folder of the run. For a detector from an exported file it is the path of the file
            without its suffix, which need not exist.
        apply: Forward pass of the model.
        preprocess: Preprocessing of the model.
        methods: Names of the classes of the method head, where the model has one.
        features: Record of the backbone that computed the stored features; None for a detector that
            was trained on frames.
        data_sha256: SHA-256 of the index of its training data, where its file states it.
    """

    config: ConfigDict
    variables: Variables
    checkpoint: str
    checkpoint_sha256: str
    workdir: Path
    apply: Apply
    preprocess: Preprocess
    methods: Sequence[str] = ()
    features: Mapping[str, Any] | None = None
    data_sha256: str = ""

    @property
    def draws(self) -> str:
        """Description of dropout passes and mirror images, of which there are none."""
        return ""

    @functools.cached_property
    def scorer(self) -> Scorer:
        """Function that scores batches on all devices of this process."""
        return Scorer(make_predict_step(self.apply, self.preprocess, methods=self.methods))

    def score(
        self, batches: Iterable[HostBatch], *, batch_size: int = 0
    ) -> Iterator[tuple[HostBatch, Scores]]:
        """Yields every batch with its scores; see `Scorer`.

        Args:
            batches: Batches of clips on the host.
            batch_size: Number of clips that smaller batches are padded to.
        """
        return self.scorer([self.variables], batches, batch_size=batch_size)

    def __call__(
        self,
        x: Any,
        *,
        calibrated: bool = True,
        false_alarm_rate: float | None = None,
        miss_rate: float | None = None,
        **options: Any,
    ) -> Verdict | list[Verdict]:
        """Returns the verdict on a video, an image or frames, or a list of verdicts on several.

        Faces in files are detected and cropped as for the training data. For an input that cannot
        be read, the `error` of the verdict is the reason. Verdicts are those of `dfjax.predict`.

        Args:
            x: Path of a file; or path of a folder, or a list of paths, which give a list; or face
                crops as an array: frames `u8[T, H, W, 3]` of one video, from which clips are cut as
                in evaluation, or clips `u8[N, T, H, W, 3]`, which give a list.
            calibrated: Whether the calibration in the workdir is used, where there is one.
            false_alarm_rate: Error rate of verdicts on real videos; None for that of the
                calibration.
            miss_rate: Error rate of verdicts on fakes; None for that of the calibration.
            **options: Arguments of `score_files`, or of `score_arrays`.

        Raises:
            ValueError: An array of another dtype or shape.
            UsageError: The calibration is damaged, or an error rate is given without one.
        """
        paths = is_paths(x)
        x = x if paths else read_array(x)
        overrides = list_overrides(self.config, options) if paths else []
        judge = find_judge(self, calibrated, false_alarm_rate, miss_rate, overrides)
        if judge and not paths:
            judge.reasons.append("crops were given, and how they were made is not known")
        single = isinstance(x, str | os.PathLike) if paths else x.ndim == 4
        if paths:
            given = [Path(path) for path in ([x] if single else x)]
            files = find_inputs(given, missing_ok=True)
            verdicts = list(score_files(self, files, **options))
        else:
            verdicts = list(score_arrays(self, x, **options))
        if judge:
            verdicts, _ = judge.conclude([judge(verdict) for verdict in verdicts])
        return verdicts[0] if single and not (paths and os.path.isdir(x)) else verdicts

    def predict(self, clips: Any) -> Array:
        """Returns `fake_prob f32[N]` of uint8 RGB clips `[N, T, H, W, 3]`.

        T is `data.frames` of the config. Clips are face crops of any height and width, cropped as
        in training. No clips give no probabilities.

        Raises:
            ValueError: The array has another dtype, rank or number of frames, frames without
                pixels, or another number of channels than 3.
        """
        clips = read_array(clips)
        frames = self.config.data.frames
        shape = clips.shape[1:]
        right = clips.dtype == np.uint8 and len(shape) == 4 and (shape[0], shape[-1]) == (frames, 3)
        if not right or 0 in shape:
            raise ValueError(
                f"predict takes uint8 [N, {frames}, H, W, 3], not {clips.dtype} {clips.shape}"
            )
        size, flow = choose_batch_size(self.config), self.config.data.flow
        pieces = (clips[i : i + size] for i in range(0, len(clips), size))
        batches = (make_batch(piece, np.ones(piece.shape[:2], bool), flow=flow) for piece in pieces)
        probs = [scores["fake_prob"] for _, scores in self.score(batches, batch_size=size)]
        return np.concatenate(probs).astype(np.float32) if probs else np.zeros(0, np.float32)


def load(source: str | os.PathLike[str], checkpoint: str = "best", *, model: str = "") -> Detector:
    """Returns a trained detector, with a copy of its variables on every device of this process.

    Args:
        source: Workdir of a training run, also at gs:// or s3://; a safetensors file of `dfjax
            export` or `dfjax weights import`; a folder of `export(to="hub")`; or such a folder on
            the Hugging Face Hub, `hf://USER/NAME` or `hf://USER/NAME@REVISION`.
        checkpoint: `best` (on the validation data) or `last`, where `source` is a workdir.
        model: Name of the config of a safetensors file whose header does not have the config.

    Raises:
        UsageError: `source` is none of these, the checkpoint does not exist or does not fit
            its config, or the model is the user's own and its module is not imported.
    """
    path = source if is_hub_address(source) else read_workdir_copy(source, checkpoint)
    use_compilation_cache(Path(path))
    saved = read_saved(path, checkpoint, model=model)
    config, backbone = saved.config, saved.backbone
    if find_entry(config.model.name).generates:
        raise UsageError(f"{source} is a generator ({config.name}), which scores nothing")
    networks = assemble(saved, source)
    detector = Detector(
        config=config,
        variables=networks.variables,
        checkpoint=saved.checkpoint,
        checkpoint_sha256=saved.checkpoint_sha256,
        workdir=saved.folder,
        apply=networks.apply,
        preprocess=networks.preprocess,
        methods=saved.methods,
        features=backbone.record if backbone else None,
        data_sha256=saved.data_sha256,
    )
    detector.variables = detector.scorer.put_variables(networks.variables)
    return detector
