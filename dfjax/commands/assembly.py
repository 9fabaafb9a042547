"""Where packages of one tier meet: a config becomes a model and a data source."""

import functools
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from dfjax import FAKE, precision
from dfjax.commands.progress import track
from dfjax.commands.stored_features import check_backbone
from dfjax.data.augment import make_augment
from dfjax.data.augment_presets import choose_operations
from dfjax.data.clips import Sampling
from dfjax.data.feature_pack import open_features
from dfjax.data.flow_index import add_flow, make_flow, make_tasks
from dfjax.data.frame_store import FrameStore
from dfjax.data.mixing import make_mix
from dfjax.data.pack import open_pack
from dfjax.data.pipeline import make_eval_batches
from dfjax.data.preprocess import Preprocess, make_preprocess, pass_features
from dfjax.data.records import read_index, write_index
from dfjax.data.relocation import rebase_frames
from dfjax.data.sampling import Recipe
from dfjax.data.self_blend import self_blend
from dfjax.data.splits import split_by_round
from dfjax.errors import UsageError
from dfjax.models import ModelFns, build
from dfjax.models.registry import input_extras, input_streams

Array = np.ndarray


def make_model(config: ConfigDict) -> ModelFns:
    """Returns the model that `config.model` names, built with its section's options."""
    name = config.model.name
    dtype = precision.compute_dtype(config.precision)
    return build(name, lowering=config.lowering, dtype=dtype, **config.model[name].to_dict())


def stream_sizes(config: ConfigDict) -> dict[str, int]:
    """Returns the input streams of the config's model and their size in pixels."""
    name = config.model.name
    return input_streams(name, config.preprocess.size, **config.model[name].to_dict())


def model_extras(config: ConfigDict) -> tuple[str, ...]:
    """Returns what the config's model reads besides frames: `flow`, `features`."""
    name = config.model.name
    return input_extras(name, **config.model[name].to_dict())


def make_config_preprocess(config: ConfigDict) -> Preprocess:
    """Returns the `preprocess` of `config`."""
    if "features" in model_extras(config):
        return pass_features
    p = config.preprocess
    operations = choose_operations(**config.augment)
    return make_preprocess(
        stream_sizes(config),
        mean=p.mean,
        std=p.std,
        self_blend=self_blend if config.data.self_blend else None,
        mix=make_mix(**config.mix),
        augment=make_augment(operations, fill=p.mean),
    )


def make_sampling(config: ConfigDict) -> Sampling:
    """Returns how `config` cuts clips, in training."""
    d = config.data
    return Sampling(d.frames, d.sampling, d.stride, d.pad)


def make_recipe(config: ConfigDict) -> Recipe:
    """Returns how `config` draws its training batches."""
    d = config.data
    return Recipe(
        pairing=d.pairing,
        batch_size=config.train.batch_size,
        seed=config.seed,
        balance_datasets=d.balance_datasets,
        self_blend=d.self_blend,
        hard_mining=d.hard_mining,
        clips=d.train_clips,
    )


def example_batch(config: ConfigDict, batch_size: int, crop_size: int) -> dict[str, Any]:
    """Returns the shapes and dtypes of a batch, for `jax.eval_shape` and compilation."""
    b, t, s = batch_size, config.data.frames, crop_size
    shapes: dict[str, tuple[tuple[int, ...], Any]] = {
        "mask": ((b, t), jnp.bool_),
        "position": ((b, t), jnp.int32),
        "label": ((b,), jnp.int8),
        "weight": ((b,), jnp.float32),
        "video_index": ((b,), jnp.int32),
    }
    if "features" in model_extras(config):
        width = config.model[config.model.name].features
        shapes["features"] = ((b, t, width), jnp.float32)
    else:
        shapes["clip"] = ((b, t, s, s, 3), jnp.uint8)
    if config.loss.method:
        shapes["method"] = ((b,), jnp.int8)
    if config.data.self_blend:
        shapes["blend"] = ((b,), jnp.bool_)
    if config.data.flow:
        shapes["flow"] = ((b, t - 1, s, s, 2), jnp.float16)
    return {name: jax.ShapeDtypeStruct(*spec) for name, spec in shapes.items()}


def example_inputs(config: ConfigDict, batch_size: int = 1) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns the shapes of what the config's model reads."""
    batch = example_batch(config, batch_size, config.preprocess.size)
    preprocess = make_config_preprocess(config)
    return jax.eval_shape(lambda b: preprocess(b, None, train=False), batch)


def open_data(config: ConfigDict, workdir: Path) -> FrameStore:
    """Returns the pack in `config.data.path` or `config.data.features`, or the synthetic set.

    The latter is made once in the workdir.

    `config.data.crop_size` is set to that of the pack. With `config.data.fold` the splits are those
    of a round of cross-validation.

    Raises:
        UsageError: no path is given and the config has no synthetic set, or the crops have another
            size than the config says, or the features are of another backbone than the run's, or
            there is no such fold.
    """
    pack = _open(config, workdir)
    if config.data.crop_size not in (0, pack.crop_size):
        raise UsageError(
            f"data.crop_size is {config.data.crop_size}, the crops of {pack.path} have "
            f"{pack.crop_size} px; leave the key out, it is taken from the data"
        )
    config.data.crop_size = pack.crop_size
    if config.data.fold:
        split = split_by_round(pack.index, config.data.fold)
        pack.index = pack.index.assign(pack_split=pack.index["split"], split=split)
    return _shuffled(pack, config)


def _open(config: ConfigDict, workdir: Path) -> FrameStore:
    if config.data.features:
        features = open_features(config.data.features)
        check_backbone(features, workdir)
        return features
    if "features" in model_extras(config):
        raise UsageError(
            "this config reads stored features: --config.data.features=FEATURES (made by "
            "`dfjax data features`); to train from frames, backbone and all: "
            f"--config.model.{config.model.name}.features=0 --config.data.path=PACK"
        )
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
        index = folder / "synthetic" / "index.parquet"
        if config.data.flow:
            index = _synthetic_flow(index, folder / "flow", config.data.stride)
        pack(index, target)
    return target


def _synthetic_flow(index_path: Path, out: Path, stride: int) -> Path:
    """The index of the synthetic set with its flow; `dfjax data flow` without its processes."""
    index = read_index(index_path)
    tasks = make_tasks(index, index_path.parent, out, None)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        flows = threads.map(functools.partial(make_flow, stride), tasks)
        starts = list(track(flows, total=len(tasks), what="flow"))
    moved = rebase_frames(index, index_path.parent, out)
    table = add_flow(moved, out, tasks, dict(enumerate(starts)), stride)
    write_index(table, out / "index.parquet", command="dfjax data flow")
    return out / "index.parquet"


def _shuffled(pack: FrameStore, config: ConfigDict) -> FrameStore:
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
    pack.index = index
    return pack


def check_validation(pack: FrameStore, rows: Array, metric: str) -> None:
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


def split_rows(pack: FrameStore, config: ConfigDict, split: str) -> Array:
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


def score_unit(config: ConfigDict) -> str:
    """Returns what the config's model scores: a `frame` at a time, or a `clip`."""
    return "frame" if config.data.frames == 1 else "clip"


def eval_batches(
    pack: FrameStore, config: ConfigDict, rows: Array, methods: Sequence[str] = ()
) -> Iterator[dict[str, Array]]:
    """Returns the clips of `rows` for evaluation: each once, the last batch padded."""
    d = config.data
    return make_eval_batches(
        pack,
        rows,
        sampling=make_sampling(config),
        clips_per_video=d.eval_clips,
        batch_size=config.eval.batch_size,
        threads=d.threads,
        prefetch=d.prefetch,
        flow=d.flow,
        methods=methods,
    )
