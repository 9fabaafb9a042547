"""Makes the batches of training and evaluation from the frames of a store.

Batch k of training is a pure function of the data, the seed and k. It does not depend on the number
of threads or processes that read ahead, and a resumed run passes `start_batch=k` instead of
restoring the state of an iterator.
"""

import math
import operator
from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np

from dfjax.data.clips import sampling as clips
from dfjax.data.clips.batching import NO_SOURCE, Draw, EpochOptions, Losses, Rows, Sampler
from dfjax.data.clips.loader import ClipLoader, video_sampling
from dfjax.data.clips.prefetch import Batches, read_ahead
from dfjax.data.clips.sampling import Sampling
from dfjax.data.store.frame_store import FrameStore
from dfjax.errors import UsageError

_ENDLESS = 2**40  # batches, because Grain needs a length

Places = Sequence[int]
"""Numbers of the clips of every batch that this process reads, in ascending order."""


def batches_per_epoch(pack: FrameStore, rows: Rows, options: EpochOptions) -> int:
    """Returns the number of batches per epoch (see `batching`).

    Args:
        pack: Store of the frames.
        rows: Positions in `pack.index` of the videos to train on.
        options: Options of the epochs.

    Raises:
        UsageError: The options do not fit the videos (see `Sampler`).
    """
    return Sampler(pack.index, rows, options).batches


def make_train_batches(
    pack: FrameStore,
    rows: Rows,
    options: EpochOptions,
    *,
    sampling: Sampling,
    start_batch: int = 0,
    losses: Losses | None = None,
    places: Places | None = None,
    workers: int = 0,
    threads: int = 4,
    prefetch: int = 4,
    flow: bool = False,
    masks: bool = False,
    methods: Sequence[str] = (),
) -> Batches:
    """Returns an endless iterator over the training batches from `start_batch` on.

    With hard-example mining it ends with the epoch of `start_batch`, because the batches of the
    next epoch depend on new losses.

    Args:
        pack: Store of the frames; its `index` has the labels and pairs.
        rows: Positions in `pack.index` of the videos to train on.
        options: Options of the epochs. All random choices depend on their seed and on the number of
            the batch.
        sampling: Sampling of clips.
        start_batch: Number of the first batch, counted from the start of training.
        losses: Losses of all videos at the start of the epoch, for hard-example mining.
        places: Clips of each batch that are read; None for all of them.
        workers: Number of reader processes; 0 reads in threads of this process.
        threads: Number of reader threads if `workers` is 0; 0 reads each batch on demand.
        prefetch: Number of batches read ahead.
        flow: Whether batches have the flow of the pack, `f16[B,T-1,S,S,2]` in pixels of the crop.
            It is zero where one of the two frames is padding. It requires `stride` sampling with
            the stride of the flow.
        masks: Whether batches have the masks of the pack (see `ClipLoader`).
        methods: Names of methods. If there are any, batches have `method i8[B]`, the position of
            the clip's method among them (see `number_methods`).

    Raises:
        UsageError: The frames do not fit the stride, or a class or all pairs are missing. The
            message says what to change.
    """
    how = _check(pack, rows, sampling, options.batch_size, flow)
    sampler = Sampler(pack.index, rows, options, losses)
    left = sampler.batches - start_batch % sampler.batches if options.hard_mining else _ENDLESS
    plan = _TrainPlan(sampler, start_batch, left, _places(options.batch_size, places))
    blend, source = options.self_blend > 0, options.pairing == "source"
    loader = ClipLoader(pack, how, flow, methods, blend, source, masks)
    return read_ahead(plan, loader, workers=workers, threads=threads, prefetch=prefetch)


def make_eval_batches(
    pack: FrameStore,
    rows: Rows,
    *,
    sampling: Sampling,
    clips_per_video: int,
    batch_size: int,
    places: Places | None = None,
    workers: int = 0,
    threads: int = 4,
    prefetch: int = 4,
    flow: bool = False,
    masks: bool = False,
    methods: Sequence[str] = (),
    sources: Rows | None = None,
) -> Batches:
    """Returns an iterator over the fixed clips of the videos, in the order of `rows`.

    The last batch is filled with black clips of weight 0 and `video_index` -1. Their mask is True,
    so that means over valid frames stay finite.

    Args:
        pack: Store of the frames.
        rows: Positions in `pack.index` of the videos to evaluate.
        sampling: Sampling of clips. Frames that training pads at random are centred.
        clips_per_video: Number of evenly spaced clips per video; 0 takes as many as cover it.
        batch_size: Number of clips per batch, over all processes.
        places: Clips of each batch that are read; None for all of them.
        workers: Number of reader processes; 0 reads in threads of this process.
        threads: Number of reader threads if `workers` is 0; 0 reads each batch on demand.
        prefetch: Number of batches read ahead.
        flow: Whether batches have the flow of the pack (see `make_train_batches`).
        masks: Whether batches have the masks of the pack (see `ClipLoader`).
        methods: Names of the classes of `method` (see `make_train_batches`).
        sources: Row of the source of each of `rows`, for the validation of a generator; batches
            then have `source`.

    Raises:
        UsageError: The frames do not fit the stride, or there are no videos.
    """
    how = _check(pack, rows, clips.for_evaluation(sampling), batch_size, flow)
    if clips_per_video < 0:
        raise UsageError(f"data.eval_clips must not be negative, not {clips_per_video}")
    taken = np.full(len(rows), NO_SOURCE) if sources is None else sources
    draws = [
        Draw(row, float(offset), row, source=source)
        for row, source in zip(np.asarray(rows).tolist(), taken.tolist())
        for offset in clips.spread_offsets(
            pack.frame_numbers(row), video_sampling(pack, row, how), clips_per_video
        )
    ]
    plan = _EvalPlan(draws, batch_size, _places(batch_size, places))
    return read_ahead(
        plan,
        ClipLoader(pack, how, flow, methods, source=sources is not None, masks=masks),
        workers=workers,
        threads=threads,
        prefetch=prefetch,
    )


class _TrainPlan:
    """Sequence of the clips that this process loads, for `length` batches from `start` on."""

    def __init__(self, sampler: Sampler, start: int, length: int, places: Places) -> None:
        self._sampler, self._start, self._length, self._places = sampler, start, length, places

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, k: SupportsIndex) -> list[Draw | None]:
        batch = self._start + operator.index(k)
        return [self._sampler.draw(batch, place) for place in self._places]


class _EvalPlan:
    """Sequence of the clips that this process loads; None stands for padding."""

    def __init__(self, draws: list[Draw], batch_size: int, places: Places) -> None:
        self._draws, self._batch_size, self._places = draws, batch_size, places

    def __len__(self) -> int:
        return math.ceil(len(self._draws) / self._batch_size)

    def __getitem__(self, k: SupportsIndex) -> list[Draw | None]:
        first = operator.index(k) * self._batch_size
        numbers = [first + place for place in self._places]
        return [self._draws[n] if n < len(self._draws) else None for n in numbers]


def check_clips(pack: FrameStore, rows: Rows, sampling: Sampling, *, flow: bool) -> None:
    """Checks that clips can be sampled from the videos.

    Args:
        pack: Store of the frames.
        rows: Positions in `pack.index` of the videos.
        sampling: Sampling of clips.
        flow: Whether batches have the flow of the pack.

    Raises:
        UsageError: There are no videos, a sampling setting is invalid, the frames do not fit the
            stride, or the pack has no flow of this stride.
    """
    clips.check_sampling(sampling)
    if flow and (sampling.kind != "stride" or sampling.stride != pack.flow_stride):
        stored = f"flow of stride {pack.flow_stride}" if pack.flow_stride else "no flow"
        raise UsageError(
            f"data.flow needs data.sampling=stride and flow of data.stride={sampling.stride}, but "
            f"{pack.path} has {stored}: run `dfjax data flow` with stride {sampling.stride} and "
            "pack its index"
        )
    if not len(rows):
        raise UsageError("there are no videos to read")
    for row in map(int, rows):
        video_sampling(pack, row, sampling)
        if sampling.kind == "stride":
            numbers = pack.frame_numbers(row)
            clips.check_stride(numbers, sampling.stride, pack.index["video_id"].iloc[row])


def _check(
    pack: FrameStore, rows: Rows, sampling: Sampling, batch_size: int, flow: bool
) -> Sampling:
    check_clips(pack, rows, sampling, flow=flow)
    if batch_size < 1:
        raise UsageError(f"a batch must have at least one clip, not {batch_size}")
    return sampling


def _places(batch_size: int, places: Places | None) -> Places:
    return range(batch_size) if places is None else places
