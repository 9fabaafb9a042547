"""Which videos come in which batch: pure functions of the seed and the epoch.

An epoch is every video once (`none`), every video of the larger class once (`balanced`) or every
fake once, each next to the real video it was made from (`paired`). Its last batch is filled up
with further draws, so that no video is left out and all batches have one size. With balanced data
sets they take turns within each class, and an epoch is as long as the largest needs. Hard-example
mining keeps the length, and draws by the losses at the start of the epoch. Where an epoch takes
several clips of a video, `once` reads so many times.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from dfjax import FAKE, REAL
from dfjax.data.clips.drawing import Stratum, compute_weights
from dfjax.errors import UsageError, unknown

PAIRING = ("none", "balanced", "paired")
SELF_BLENDED = "self_blended"
"""The manipulation of a real video that training blends with itself."""

Rows = Int[np.ndarray, "_"]
Losses = Float[np.ndarray, "_"]


class Draw(NamedTuple):
    """One clip of a batch.

    Attributes:
        row: the video.
        offset: in [0, 1), where in the video.
        anchor: the video whose clip at `offset` this one should start with; itself unless paired.
        blend: a real video, to be made a fake by blending it with itself.
    """

    row: int
    offset: float
    anchor: int
    blend: bool = False


class Epoch(NamedTuple):
    """The fields of `Draw` for all clips of an epoch."""

    rows: Rows
    offsets: Float[np.ndarray, "_"]
    anchors: Rows
    blends: np.ndarray


class Pairs(NamedTuple):
    """Real videos and their fakes, place by place, and the videos that have no partner."""

    real: Rows
    fake: Rows
    alone: Rows


class Recipe(NamedTuple):
    """How epochs are drawn.

    Attributes:
        pairing: one of PAIRING. `balanced` has as many reals as fakes in every batch and repeats
            the smaller class evenly. `paired` leaves out videos without a partner and gives both
            clips of a pair the same start.
        batch_size: clips per batch, over all processes.
        seed: of the run.
        balance_datasets: data sets come equally often, within their class.
        self_blend: share of the fakes in whose place a real video comes, to be blended with
            itself: any, or with `paired` that of the pair. With 1 `balanced` and `paired` need no
            fakes: every real video is one clip and, blended, another.
        hard_mining: in [0, 1], the share of an epoch that goes by losses; see `compute_weights`.
            A pair counts as its harder clip.
        clips: of a video in an epoch, at places of their own.
    """

    pairing: str
    batch_size: int
    seed: int
    balance_datasets: bool = False
    self_blend: float = 0.0
    hard_mining: float = 0.0
    clips: int = 1


def find_pairs(index: pd.DataFrame, rows: Rows) -> Pairs:
    """Returns each video of `rows` that has a `pair_id` with the video that it names.

    Only partners that are both in `rows` count, which keeps pairs inside a split.
    """
    place = {index["video_id"].iloc[row]: row for row in rows}
    partner = index["pair_id"].iloc[rows].map(place)
    paired = partner.notna().to_numpy()
    fake, real = np.asarray(rows)[paired], partner[paired].to_numpy(np.int64)
    return Pairs(real, fake, np.setdiff1d(rows, np.concatenate([real, fake])))


class Sampler:
    """The clips of an endless training run, batch after batch.

    Attributes:
        batches: per epoch.
    """

    def __init__(
        self, index: pd.DataFrame, rows: Rows, recipe: Recipe, losses: Losses | None = None
    ) -> None:
        """Prepares the draws.

        Args:
            index: the pack's.
            rows: positions in it of the videos to train on.
            recipe: how epochs are drawn.
            losses: of all videos of the index, below 0 where not known, which hard-example mining
                goes by: those at the start of the epoch whose batches are wanted.

        Raises:
            UsageError: an unknown pairing, no videos, a class or every pair missing, a share that
                is none, or a batch that cannot be halved.
        """
        _check(recipe)
        rows = np.asarray(rows, np.int64)
        if not len(rows):
            raise UsageError("no videos to train on")
        self._recipe, self._epochs = recipe, dict[int, Epoch]()
        self._label = index["label"].to_numpy()
        self._strata = [
            _make_stratum(index, members, recipe, losses)
            for members in _list_units(index, rows, recipe)
        ]
        reals = rows[self._label[rows] == REAL, None]
        self._reals = _make_stratum(index, reals, recipe) if recipe.self_blend else None
        width = sum(stratum.members.shape[1] for stratum in self._strata)
        longest = max(stratum.length for stratum in self._strata) * recipe.clips
        self.batches = math.ceil(longest * width / recipe.batch_size)
        self._draws = self.batches * recipe.batch_size // width

    def draw(self, batch: int, place: int) -> Draw:
        """Returns clip `place` of batch number `batch`, counted from the start of the run."""
        number, batch = divmod(batch, self.batches)
        epoch = self._epoch(number)
        i = batch * self._recipe.batch_size + place
        row, offset, anchor, blend = (field[i] for field in epoch)
        return Draw(int(row), float(offset), int(anchor), bool(blend))

    def _epoch(self, number: int) -> Epoch:
        epoch = self._epochs.get(number)
        if epoch is None:  # the epoch before stays: threads are not all equally far
            epoch = self._make_epoch(number)
            recent = {k: v for k, v in self._epochs.items() if k == number - 1}
            self._epochs = recent | {number: epoch}
        return epoch

    def _make_epoch(self, number: int) -> Epoch:
        """All clips of an epoch; real and fake alternate where batches are halved."""
        rng = np.random.default_rng([self._recipe.seed, number])
        drawn = [stratum.take(self._draws, rng) for stratum in self._strata]
        first = [np.broadcast_to(members[:, :1], members.shape) for members in drawn]
        rows, anchors = (np.concatenate(m, axis=1).reshape(-1) for m in (drawn, first))
        if self._recipe.pairing == "paired":
            offsets = np.repeat(rng.random(self._draws), 2)
        else:
            offsets = rng.random(len(rows))
        return self._blend(Epoch(rows, offsets, anchors, np.zeros(len(rows), bool)), rng)

    def _blend(self, epoch: Epoch, rng: np.random.Generator) -> Epoch:
        """Puts real videos, to be blended, in the place of a share of the fakes."""
        recipe = self._recipe
        if self._reals is None:
            return epoch
        rows, _, anchors, blends = epoch
        halved = recipe.pairing != "none"
        fakes = np.flatnonzero(np.arange(len(rows)) % 2 if halved else self._label[rows] == FAKE)
        chosen = fakes[rng.permutation(len(fakes)) < round(recipe.self_blend * len(fakes))]
        blends[chosen] = True
        chosen = chosen[self._label[rows[chosen]] == FAKE]
        if recipe.pairing == "paired":
            rows[chosen] = anchors[chosen]
        elif len(chosen):
            rows[chosen] = anchors[chosen] = self._reals.take(len(chosen), rng)[:, 0]
        return epoch


def _list_units(index: pd.DataFrame, rows: Rows, recipe: Recipe) -> list[Int[np.ndarray, "n m"]]:
    """The members of the strata: all videos, those of each class, or pairs."""
    label = index["label"].to_numpy()[rows]
    reals, fakes = rows[label == REAL], rows[label == FAKE]
    if recipe.self_blend and not len(reals):
        raise UsageError("data.self_blend needs real videos, and there is none")
    if recipe.pairing == "none":
        if recipe.self_blend and not len(fakes):
            raise UsageError(
                "data.self_blend takes the place of fakes, and there is none; set "
                "data.pairing=balanced data.self_blend=1"
            )
        return [rows[:, None]]
    if recipe.self_blend == 1:
        fakes = reals
    elif recipe.pairing == "paired":
        reals, fakes, _ = find_pairs(index, rows)
        if not len(reals):
            raise UsageError(
                "data.pairing=paired needs fakes whose pair_id names a real video of the same "
                "split, and there is none; set data.pairing=balanced"
            )
    if recipe.pairing == "paired":
        return [np.stack([reals, fakes], axis=1)]
    for column, name in ((reals, "real"), (fakes, "fake")):
        if not len(column):
            raise UsageError(f"data.pairing=balanced needs both classes: there is no {name} video")
    return [reals[:, None], fakes[:, None]]


def _make_stratum(
    index: pd.DataFrame,
    members: Int[np.ndarray, "n m"],
    recipe: Recipe,
    losses: Losses | None = None,
) -> Stratum:
    groups = [np.arange(len(members))]
    if recipe.balance_datasets:
        dataset = index["dataset"].to_numpy()[members[:, 0]]
        groups = [np.flatnonzero(dataset == name) for name in sorted(set(dataset))]
    if losses is None or not recipe.hard_mining:
        return Stratum(members, groups)
    hardest = losses[members].max(axis=1)
    weights = [compute_weights(hardest[group], recipe.hard_mining) for group in groups]
    return Stratum(members, groups, weights)


def _check(recipe: Recipe) -> None:
    pairing, batch_size = recipe.pairing, recipe.batch_size
    if pairing not in PAIRING:
        raise unknown("data.pairing", pairing, PAIRING)
    for name in ("self_blend", "hard_mining"):
        if not 0 <= getattr(recipe, name) <= 1:
            raise UsageError(f"data.{name} is a share, {getattr(recipe, name)} is not in [0, 1]")
    if batch_size < 1:
        raise UsageError(f"a batch needs at least 1 clip, not {batch_size}")
    if pairing != "none" and batch_size % 2:
        near = [size for size in (batch_size - 1, batch_size + 1) if size]
        raise UsageError(
            f"data.pairing={pairing} puts as many real as fake clips in a batch, which "
            f"{batch_size} does not allow; nearest sizes: {', '.join(map(str, near))}"
        )
