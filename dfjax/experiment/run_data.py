"""Opens the data of a run (pack, features or synthetic set) and selects the rows of a split."""

import dataclasses
import functools
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from dfjax import FAKE
from dfjax.console import track
from dfjax.data.clips.pipeline import make_eval_batches
from dfjax.data.faces.recipe import CropRecipe, parse_recipe, read_crop_recipe
from dfjax.data.index.frame_paths import rebase_frames
from dfjax.data.index.records import read_index, write_index
from dfjax.data.index.splits import split_by_round
from dfjax.data.store.feature_pack import open_features
from dfjax.data.store.flow_index import add_flow, make_flow, make_flow_metadata, make_tasks
from dfjax.data.store.frame_store import FrameStore
from dfjax.data.store.pack import open_pack
from dfjax.errors import UsageError
from dfjax.experiment import builders
from dfjax.experiment.stored_features import check_backbone

Array = np.ndarray


def open_data(config: ConfigDict, workdir: Path) -> FrameStore:
    """Returns the pack in `config.data.path` or `config.data.features`, or the synthetic set.

    The synthetic set is generated once in the workdir. With `config.data.fold` the splits are those
    of a round of cross-validation.

    Args:
        config: Config of the run.
        workdir: Workdir of the run.

    Raises:
        UsageError: The config names no data and has no synthetic set, the size of the crops is not
            that of the config, the features are of another backbone than that of the workdir, or
            the fold does not exist.
    """
    pack = _open(config, workdir)
    if config.data.crop_size not in (0, pack.crop_size):
        raise UsageError(
            f"data.crop_size is {config.data.crop_size}, but the crops of {pack.path} have "
            f"{pack.crop_size} px; leave the key out to use the size of the data"
        )
    if config.data.fold:
        split = split_by_round(pack.index, config.data.fold)
        pack.index = pack.index.assign(pack_split=pack.index["split"], split=split)
    return _shuffled(pack, config)


def record_crops(config: ConfigDict, data: FrameStore) -> None:
    """Sets `config.data.crop_size` and `config.crops` to the size and crop recipe of the data.

    Args:
        config: Config of a run that is to be trained, which is changed.
        data: Training data of the run.
    """
    config.data.crop_size = data.crop_size
    recipe = read_crop_recipe(data.path)
    if recipe is not None:
        config.crops.update(dataclasses.asdict(recipe))


def find_recipe(config: ConfigDict) -> CropRecipe | None:
    """Returns the crop recipe of the training data of a run, or None if it was not recorded."""
    return None if config.crops.detector is None else parse_recipe(config.crops.to_dict())


def _open(config: ConfigDict, workdir: Path) -> FrameStore:
    if config.data.features:
        features = open_features(config.data.features)
        check_backbone(features, workdir)
        return features
    if "features" in builders.model_extras(config):
        raise UsageError(
            "this config reads stored features: set data.features=FEATURES (from `dfjax data "
            "features`); to train on frames, with a backbone, set "
            f"model.{config.model.name}.features=0 data.path=PACK"
        )
    if config.data.path:
        return open_pack(config.data.path)
    if not config.data.synthetic.videos:
        raise UsageError(
            "this config needs data: set data.path=PACK (from `dfjax data pack`), or use the "
            "variant :smoke, which generates a synthetic set"
        )
    return open_pack(synthetic_pack(config, workdir / "data"))


def synthetic_pack(config: ConfigDict, folder: Path) -> Path:
    """Returns the pack of the synthetic set, which is generated below `folder` if missing.

    Raises:
        UsageError: The loss reads masks, and the existing set was made without.
    """
    from dfjax.data.store.pack import pack
    from dfjax.data.synthetic import generate

    s, masks = config.data.synthetic, bool(config.loss.mask)
    target = folder / "pack"
    if not (target / "checksums.json").exists():
        generate(
            folder / "synthetic", videos=s.videos, identities=s.identities, frames=s.frames,
            size=s.size, seed=config.seed, masks=masks,
        )  # fmt: skip
        index = folder / "synthetic" / "index.parquet"
        if config.data.flow:
            index = _synthetic_flow(index, folder / "flow", config.data.stride)
        pack(index, target)
    elif masks and not open_pack(target).has_masks:
        raise UsageError(
            f"the synthetic set in {folder} was made without masks, which loss.mask needs: remove "
            "it, or choose another workdir"
        )
    return target


def _synthetic_flow(index_path: Path, out: Path, stride: int) -> Path:
    """Computes the flow of the synthetic set in threads, and returns its index with the flow."""
    index = read_index(index_path)
    tasks = make_tasks(index, index_path.parent, out, None)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        flows = threads.map(functools.partial(make_flow, stride), tasks)
        starts = list(track(flows, total=len(tasks), what="flow"))
    moved = rebase_frames(index, index_path.parent, out)
    table = add_flow(moved, out, tasks, dict(enumerate(starts)), stride)
    metadata = make_flow_metadata(read_crop_recipe(index_path), "dis")
    write_index(table, out / "index.parquet", command="dfjax data flow", metadata=metadata)
    return out / "index.parquet"


def _shuffled(pack: FrameStore, config: ConfigDict) -> FrameStore:
    """Permutes the labels of train and val if `data.shuffle_labels` is set (a control)."""
    if not config.data.shuffle_labels:
        return pack
    if config.data.pairing in ("paired", "auto"):
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

    Args:
        pack: Data of the run.
        rows: Positions of the validation videos in the index.
        metric: Monitored metric.

    Raises:
        UsageError: The metric needs both classes, and the videos have only one.
    """
    labels = set(pack.index["label"].to_numpy()[rows].tolist())
    if metric != "loss" and len(labels) < 2:
        only = "fakes" if FAKE in labels else "reals"
        raise UsageError(
            f"the validation split has only {only}, so early_stop.metric={metric!r} is undefined; "
            "choose early_stop.metric=loss early_stop.mode=min"
        )


def reads_masks(pack: FrameStore, config: ConfigDict) -> bool:
    """Returns whether the batches of a run have the masks of the pack, for `loss.mask`."""
    return bool(config.loss.mask) and pack.has_masks


def check_masks(pack: FrameStore, rows: Array, config: ConfigDict) -> None:
    """Checks that a mask loss has masks, of the training data or of self-blending.

    Args:
        pack: Data of the run.
        rows: Positions of the training videos in the index.
        config: Config of the run.

    Raises:
        UsageError: `loss.mask` is set, there is no self-blending, and no training video has masks.
    """
    if not config.loss.mask or config.data.self_blend:
        return
    if pack.has_masks and pack.index["mask_indices"].iloc[rows].map(bool).any():
        return
    raise UsageError(
        f"loss.mask needs masks, and no training video of {pack.path} has any: extract crops "
        "with masks set, where the data set publishes masks, and pack them, or set data.self_blend"
    )


def split_rows(pack: FrameStore, config: ConfigDict, split: str) -> Array:
    """Returns the positions in `pack.index` of the videos of a split.

    The splits train and val leave out the methods in `data.holdout_methods`; other splits keep
    them, and evaluation reports them separately.

    Raises:
        UsageError: The split has no video, or a method in `data.holdout_methods` does not exist.
    """
    index = pack.index
    unknown = set(config.data.holdout_methods) - set(index["method"])
    if unknown:
        raise UsageError(
            f"data.holdout_methods: the data have no method {', '.join(sorted(unknown))}; "
            f"their methods are: {', '.join(sorted(set(index['method'])))}"
        )
    chosen = index["split"] == split
    if split in ("train", "val"):
        chosen &= ~index["method"].isin(config.data.holdout_methods)
    rows = np.flatnonzero(chosen)
    if not len(rows):
        found = ", ".join(sorted(set(index["split"])))
        raise UsageError(f"the data have no video in split {split!r}; their splits are: {found}")
    return rows


def eval_batches(
    pack: FrameStore,
    config: ConfigDict,
    rows: Array,
    methods: Sequence[str] = (),
    *,
    sources: Array | None = None,
    batch_size: int = 0,
    places: Sequence[int] | None = None,
    masks: bool = False,
) -> Iterator[dict[str, Array]]:
    """Returns batches with every clip of some videos once; the last batch is padded.

    Args:
        pack: Data of the run.
        config: Config of the run.
        rows: Positions of the videos in the index.
        methods: Names of the classes of `batch["method"]`; empty for batches without it.
        sources: Row of the source of each of `rows`, for batches with `source`.
        batch_size: Number of clips per batch; 0 for `eval.batch_size` of the config.
        places: Clips of each batch that are read; None for all of them.
        masks: Whether batches have the masks of the pack.
    """
    d = config.data
    return make_eval_batches(
        pack,
        rows,
        sampling=builders.make_sampling(config),
        clips_per_video=d.eval_clips,
        batch_size=batch_size or config.eval.batch_size,
        places=places,
        threads=d.threads,
        prefetch=d.prefetch,
        flow=d.flow and sources is None,
        masks=masks,
        methods=methods,
        sources=sources,
    )
