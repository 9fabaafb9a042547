"""Where packages of one tier meet: a config becomes a model, a data source, a detector."""

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from dfjax import FAKE, precision
from dfjax.data.pack import Pack, open_pack
from dfjax.data.pipeline import make_eval_batches
from dfjax.data.preprocess import Preprocess, make_preprocess
from dfjax.errors import UsageError
from dfjax.evaluation import metrics
from dfjax.evaluation.scoring import make_predict_step, score
from dfjax.losses.classification import Loss
from dfjax.models import ModelFns, build
from dfjax.shapes import Inputs, Variables
from dfjax.training import workdir as workdirs
from dfjax.training.checkpoint import KINDS, Checkpoints

Array = np.ndarray


def make_model(config: ConfigDict) -> ModelFns:
    """Returns the model that `config.model` names, built with its section's options."""
    name = config.model.name
    options = config.model[name].to_dict() if name in config.model else {}
    return build(
        name,
        lowering=config.lowering,
        dtype=precision.compute_dtype(config.precision),
        **options,
    )


def stream_sizes(config: ConfigDict) -> dict[str, int]:
    """Returns the input streams of the config's model and their size in pixels."""
    if config.model.name == "dual_stream":
        return {"hq": config.preprocess.size, "lq": config.model.dual_stream.lq_size}
    return {"clip": config.preprocess.size}


def make_config_preprocess(config: ConfigDict) -> Preprocess:
    """Returns the `preprocess` of `config`."""
    p = config.preprocess
    return make_preprocess(stream_sizes(config), mean=p.mean, std=p.std, flip=p.flip)


def example_batch(config: ConfigDict, batch_size: int, crop_size: int) -> dict[str, Any]:
    """Returns the shapes and dtypes of a batch, for `jax.eval_shape` and compilation."""
    b, t, s = batch_size, config.data.frames, crop_size
    shapes = {
        "clip": ((b, t, s, s, 3), jnp.uint8),
        "mask": ((b, t), jnp.bool_),
        "position": ((b, t), jnp.int32),
        "label": ((b,), jnp.int8),
        "weight": ((b,), jnp.float32),
        "video_index": ((b,), jnp.int32),
    }
    return {name: jax.ShapeDtypeStruct(*spec) for name, spec in shapes.items()}


def example_inputs(config: ConfigDict, batch_size: int = 1) -> Inputs:
    """Returns the shapes of what the config's model reads."""
    batch = example_batch(config, batch_size, config.preprocess.size)
    preprocess = make_config_preprocess(config)
    return jax.eval_shape(lambda b: preprocess(b, None, train=False), batch)


def open_data(config: ConfigDict, workdir: Path) -> Pack:
    """Returns the pack in `config.data.path`, or the synthetic set, made once in the workdir.

    Raises:
        UsageError: no path is given and the config has no synthetic set.
    """
    return _shuffled(_open(config, workdir), config)


def _open(config: ConfigDict, workdir: Path) -> Pack:
    if config.data.path:
        return open_pack(config.data.path)
    if not config.data.synthetic.videos:
        raise UsageError(
            "this config needs data: --config.data.path=PACK (made by `dfjax data pack`); "
            "or try the variant :smoke, which makes its own synthetic set"
        )
    return open_pack(synthetic_pack(config, workdir / "data"))


def synthetic_pack(config: ConfigDict, folder: Path) -> Path:
    """Returns the pack of the config's synthetic set, generated below `folder` when missing."""
    from dfjax.data.pack import pack
    from dfjax.data.synthetic import generate

    s = config.data.synthetic
    target = folder / "pack"
    if not (target / "checksums.json").exists():
        generate(
            folder / "synthetic", videos=s.videos, identities=s.identities, frames=s.frames,
            size=s.size, seed=config.seed,
        )  # fmt: skip
        pack(folder / "synthetic" / "index.parquet", target)
    return target


def _shuffled(pack: Pack, config: ConfigDict) -> Pack:
    """The control of `data.shuffle_labels`: labels of training and validation are permuted."""
    if not config.data.shuffle_labels:
        return pack
    if config.data.pairing == "paired":
        raise UsageError("data.shuffle_labels needs data.pairing=none or balanced")
    rng = np.random.default_rng(config.seed)
    index = pack.index.copy()
    for split in ("train", "val"):
        rows = np.flatnonzero(index["split"] == split)
        column = index.columns.get_loc("label")
        index.iloc[rows, column] = rng.permutation(index["label"].to_numpy()[rows])
    return dataclasses.replace(pack, index=index)


def check_validation(pack: Pack, rows: Array, metric: str) -> None:
    """Checks that the monitored metric can be computed on the validation videos.

    Raises:
        UsageError: the metric needs both classes and there is only one.
    """
    labels = set(pack.index["label"].to_numpy()[rows].tolist())
    if metric != "loss" and len(labels) < 2:
        only = "fakes" if FAKE in labels else "reals"
        raise UsageError(
            f"the validation split has only {only}, so early_stop.metric={metric!r} is undefined; "
            "choose --config.early_stop.metric=loss --config.early_stop.mode=min"
        )


def split_rows(pack: Pack, config: ConfigDict, split: str) -> Array:
    """Returns the rows of `pack.index` that `split` uses.

    Training and validation leave out the methods that the config holds back; other splits keep
    them, and evaluation reports them apart.

    Raises:
        UsageError: the split has no video, or a method held back does not exist.
    """
    index = pack.index
    unknown = set(config.data.holdout_methods) - set(index["method"])
    if unknown:
        raise UsageError(
            f"data.holdout_methods: no method {', '.join(sorted(unknown))} in the data; "
            f"there are: {', '.join(sorted(set(index['method'])))}"
        )
    chosen = index["split"] == split
    if split in ("train", "val"):
        chosen &= ~index["method"].isin(config.data.holdout_methods)
    rows = np.flatnonzero(chosen)
    if not len(rows):
        found = ", ".join(sorted(set(index["split"])))
        raise UsageError(f"the data has no video in split {split!r} (splits there: {found})")
    return rows


def eval_batches(pack: Pack, config: ConfigDict, rows: Array) -> Iterator[dict[str, Array]]:
    """Returns the clips of `rows` for evaluation: each once, the last batch padded."""
    d = config.data
    return make_eval_batches(
        pack,
        rows,
        frames=d.frames,
        sampling=d.sampling,
        stride=d.stride,
        clips_per_video=d.eval_clips,
        batch_size=config.eval.batch_size,
        threads=d.threads,
        prefetch=d.prefetch,
    )


def make_validate(
    config: ConfigDict,
    pack: Pack,
    rows: Array,
    model: ModelFns,
    preprocess: Preprocess,
    loss: Loss,
) -> Callable[[Variables, Callable[[], None]], dict[str, float]]:
    """Returns `validate(variables, check) -> metrics`: the loss per clip and every scalar metric.

    `check()` is called before each batch and may raise to leave early.
    """
    predict_step = make_predict_step(model.apply, preprocess)

    def validate(variables: Variables, check: Callable[[], None]) -> dict[str, float]:
        def checked() -> Iterator[dict[str, Array]]:
            for batch in eval_batches(pack, config, rows):
                check()
                yield batch

        table = score(predict_step, variables, checked(), pack.index, split="val")
        labels = {"label": table["label"].to_numpy(np.float32)}
        values = loss(table["logit"].to_numpy(np.float32), labels)
        scores = metrics.compute(table, resamples=0)
        numbers = {k: v for k, v in scores.items() if not isinstance(v, list)}
        found = {k: float("nan") if v is None else float(v) for k, v in numbers.items()}
        return {"loss": float(np.mean(values)), **found}

    return validate


def use_compilation_cache(workdir: Path) -> None:
    """Keeps compiled programs in the workdir, so that a resumed run starts at once."""
    jax.config.update("jax_compilation_cache_dir", str(workdir.resolve() / "jax_cache"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 2.0)


@dataclasses.dataclass
class Detector:
    """A trained detector: the config it was trained with, its parameters, and how to score clips.

    Attributes:
        config: of the workdir.
        variables: `{"params", "batch_stats"}`.
        checkpoint: for example `best/1200`.
        checkpoint_sha256: hash of the checkpoint's files.
        predict_step: jitted `(variables, batch) -> {"logit": f32[B]}`.
    """

    config: ConfigDict
    variables: Variables
    checkpoint: str
    checkpoint_sha256: str
    predict_step: Any

    def predict(self, clips: Array) -> Array:
        """Returns `fake_prob f32[N]` of uint8 RGB clips `[N, T, H, W, 3]`.

        T is the config's number of frames; H and W are any size, faces cropped as in training.

        Raises:
            ValueError: another dtype or rank, or another number of frames.
        """
        clips = np.asarray(clips)
        frames = self.config.data.frames
        if clips.dtype != np.uint8 or clips.ndim != 5 or clips.shape[1] != frames:
            raise ValueError(
                f"predict takes uint8 [N, {frames}, H, W, 3], not {clips.dtype} {clips.shape}"
            )
        size = self.config.eval.batch_size
        logits = [
            self.logits(clips[i : i + size], np.ones((len(clips[i : i + size]), frames), bool))
            for i in range(0, len(clips), size)
        ]
        return 1 / (1 + np.exp(-np.concatenate(logits))) if logits else np.zeros(0, np.float32)

    def logits(self, clips: Array, mask: Array, batch_size: int = 0) -> Array:
        """Returns `f32[N]` logits of one batch, padded to a fixed size so that it compiles once.

        Args:
            clips: `u8[N, T, H, W, 3]`, N at most the batch size.
            mask: `bool[N, T]`, False on padding frames.
            batch_size: 0 takes the config's evaluation batch.
        """
        n, t = clips.shape[:2]
        pad = (batch_size or self.config.eval.batch_size) - n
        batch = {
            "clip": np.concatenate([clips, np.zeros((pad, *clips.shape[1:]), np.uint8)]),
            "mask": np.concatenate([mask, np.ones((pad, t), bool)]),
        }
        return np.asarray(self.predict_step(self.variables, batch, self._rng)["logit"])[:n]


def load(workdir: str | os.PathLike[str], checkpoint: str = "best") -> Detector:
    """Returns the detector trained in `workdir`, ready to predict.

    Args:
        workdir: of `dfjax train`.
        checkpoint: `best` (on validation) or `last`.

    Raises:
        UsageError: not a workdir, or no such checkpoint.
    """
    if checkpoint not in KINDS:
        raise UsageError(f"checkpoint is 'best' or 'last', not {checkpoint!r}")
    folder = Path(workdir)
    config = workdirs.load(folder)
    model, preprocess = make_model(config), make_config_preprocess(config)
    checkpoints = Checkpoints(folder)
    try:
        step, variables = checkpoints.restore_variables(checkpoint)
        sha256 = checkpoints.sha256(checkpoint, step)
    finally:
        checkpoints.close()
    return Detector(
        config=config,
        variables=variables,
        checkpoint=f"{checkpoint}/{step}",
        checkpoint_sha256=sha256,
        predict_step=make_predict_step(model.apply, preprocess),
    )
