"""Batches for training and evaluation: which clips they hold.

Batch k is a pure function of (data, seed, k): it does not depend on how many threads or processes
read ahead, and a resumed run asks for `start_batch=k` instead of restoring an iterator.
"""

import math
import operator
from collections.abc import Sequence
from typing import SupportsIndex

from dfjax.data.clips import sampling as clips
from dfjax.data.clips.batching import Draw, Losses, Recipe, Rows, Sampler
from dfjax.data.clips.loader import ClipLoader, video_sampling
from dfjax.data.clips.prefetch import Batches, read_ahead
from dfjax.data.clips.sampling import Sampling
from dfjax.data.store.frame_store import FrameStore
from dfjax.errors import UsageError

_FOREVER = 2**40  # batches; Grain wants a length

Shard = tuple[int, int]
"""This process and how many there are; each gets an equal, disjoint piece of every batch."""


def batches_per_epoch(pack: FrameStore, rows: Rows, recipe: Recipe) -> int:
    """Returns how many batches an epoch has; see `sampling` for what an epoch is.

    Raises:
        UsageError: as `make_train_batches`.
    """
    return Sampler(pack.index, rows, recipe).batches


def make_train_batches(
    pack: FrameStore,
    rows: Rows,
    recipe: Recipe,
    *,
    sampling: Sampling,
    start_batch: int = 0,
    losses: Losses | None = None,
    shard: Shard = (0, 1),
    workers: int = 0,
    threads: int = 4,
    prefetch: int = 4,
    flow: bool = False,
    methods: Sequence[str] = (),
) -> Batches:
    """Returns the endless stream of training batches from `start_batch` on.

    With hard-example mining it ends with the epoch that `start_batch` is in, because the next one
    goes by other losses.

    Args:
        pack: where the crops are; its `index` gives labels and pairs.
        rows: positions in `pack.index` of the videos to train on.
        recipe: how epochs are drawn; its seed and the batch number decide everything random.
        sampling: how clips are cut.
        start_batch: number of the first batch wanted.
        losses: of all videos at the start of the epoch, for hard-example mining.
        shard: this process and their count.
        workers: reading processes; 0 reads in threads of this process.
        threads: of this process, when `workers` is 0; 0 reads when asked.
        prefetch: batches read ahead.
        flow: add the flow of the pack, `f16[B,T-1,S,S,2]` in pixels of the crop, zeros where either
            frame is padding; needs `stride` sampling at the stride of the flow.
        methods: add `method i8[B]`, the place of a clip's method among these names.

    Raises:
        UsageError: frames too far apart for the stride, a missing class or pairs, or a batch that
            cannot be divided; the message says what to change.
    """
    how = _check(pack, rows, sampling, recipe.batch_size, shard, flow)
    sampler = Sampler(pack.index, rows, recipe, losses)
    left = sampler.batches - start_batch % sampler.batches if recipe.hard_mining else _FOREVER
    plan = _TrainPlan(sampler, start_batch, left, _places(recipe.batch_size, shard))
    return read_ahead(
        plan,
        ClipLoader(pack, how, flow, methods, blend=recipe.self_blend > 0),
        workers=workers,
        threads=threads,
        prefetch=prefetch,
    )


def make_eval_batches(
    pack: FrameStore,
    rows: Rows,
    *,
    sampling: Sampling,
    clips_per_video: int,
    batch_size: int,
    shard: Shard = (0, 1),
    workers: int = 0,
    threads: int = 4,
    prefetch: int = 4,
    flow: bool = False,
    methods: Sequence[str] = (),
) -> Batches:
    """Returns every fixed clip of the videos exactly once, in the order of `rows`.

    The last batch is filled up with black clips of weight 0 and `video_index` -1, whose mask is
    True so that nothing divides by a count of no frames.

    Args:
        clips_per_video: clips of each video, spread evenly; 0 covers it from end to end.
        pack: as in `make_train_batches`, as the others.
        rows: positions in `pack.index`.
        sampling: how clips are cut; padding at random is centred here.
        batch_size: clips of a batch over all processes.
        shard: this process and their count.
        workers: reading processes.
        threads: of this process, when `workers` is 0.
        prefetch: batches read ahead.
        flow: add the flow of the pack, `f16[B,T-1,S,S,2]` in pixels of the crop, zeros where either
            frame is padding; needs `stride` sampling at the stride of the flow.
        methods: add `method i8[B]`, the place of a clip's method among these names.

    Raises:
        UsageError: frames too far apart for the stride, no videos, or a batch that cannot be
            divided over the processes.
    """
    how = _check(pack, rows, clips.for_evaluation(sampling), batch_size, shard, flow)
    if clips_per_video < 0:
        raise UsageError(f"data.eval_clips must be 0 (all) or more, not {clips_per_video}")
    draws = [
        Draw(row, float(offset), row)
        for row in map(int, rows)
        for offset in clips.spread_offsets(
            pack.frame_numbers(row), video_sampling(pack, row, how), clips_per_video
        )
    ]
    plan = _EvalPlan(draws, batch_size, _places(batch_size, shard))
    return read_ahead(
        plan,
        ClipLoader(pack, how, flow, methods),
        workers=workers,
        threads=threads,
        prefetch=prefetch,
    )


class _TrainPlan:
    """The clips of batch k, for `length` batches from `start` on, that this process loads."""

    def __init__(self, sampler: Sampler, start: int, length: int, places: range) -> None:
        self._sampler, self._start, self._length, self._places = sampler, start, length, places

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, k: SupportsIndex) -> list[Draw | None]:
        batch = self._start + operator.index(k)
        return [self._sampler.draw(batch, place) for place in self._places]


class _EvalPlan:
    """The clips of batch k, None where they have run out, that this process loads."""

    def __init__(self, draws: list[Draw], batch_size: int, places: range) -> None:
        self._draws, self._batch_size, self._places = draws, batch_size, places

    def __len__(self) -> int:
        return math.ceil(len(self._draws) / self._batch_size)

    def __getitem__(self, k: SupportsIndex) -> list[Draw | None]:
        first = operator.index(k) * self._batch_size
        numbers = [first + place for place in self._places]
        return [self._draws[n] if n < len(self._draws) else None for n in numbers]


def check_clips(pack: FrameStore, rows: Rows, sampling: Sampling, *, flow: bool) -> None:
    """Checks that clips can be cut from the videos, before anything is written or computed.

    Args:
        pack: where the crops are.
        rows: positions in `pack.index`.
        sampling: how clips are cut.
        flow: whether the flow of the pack is wanted.

    Raises:
        UsageError: no videos, frames too far apart for the stride, or no flow over that stride.
    """
    clips.check_sampling(sampling)
    if flow and (sampling.kind != "stride" or sampling.stride != pack.flow_stride):
        there = f"over {pack.flow_stride} source frames" if pack.flow_stride else "none"
        raise UsageError(
            f"data.flow needs data.sampling=stride and flow over data.stride={sampling.stride} "
            f"source frames; {pack.path} has {there}: run `dfjax data flow` "
            f"with stride {sampling.stride} and pack its index"
        )
    if not len(rows):
        raise UsageError("no videos to read")
    for row in map(int, rows):
        video_sampling(pack, row, sampling)
        if sampling.kind == "stride":
            numbers = pack.frame_numbers(row)
            clips.check_stride(numbers, sampling.stride, pack.index["video_id"].iloc[row])


def _check(
    pack: FrameStore, rows: Rows, sampling: Sampling, batch_size: int, shard: Shard, flow: bool
) -> Sampling:
    check_clips(pack, rows, sampling, flow=flow)
    if batch_size < 1 or batch_size % shard[1]:
        near = sorted({batch_size - batch_size % shard[1], (batch_size // shard[1] + 1) * shard[1]})
        raise UsageError(
            f"a batch of {batch_size} cannot be divided over {shard[1]} processes; nearest sizes: "
            + ", ".join(str(size) for size in near if size > 0)
        )
    return sampling


def _places(batch_size: int, shard: Shard) -> range:
    local = batch_size // shard[1]
    return range(shard[0] * local, (shard[0] + 1) * local)
