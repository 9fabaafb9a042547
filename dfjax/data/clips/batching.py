"""Selects the videos of each training batch, as a pure function of the seed and the epoch.

An epoch has at least one clip of

- every video (pairing `none`),
- every video of the larger class, with as many of the smaller class (`balanced`),
- every fake and the real video that it was made from (`paired`), or
- every pair of a target and its source (`source`; see `pairs.find_targets`).

The last batch of an epoch is filled with further draws, so that all batches have the same size.
With balanced data sets, the data sets of each class alternate, and an epoch is long enough for all
videos of the largest one. Hard-example mining keeps the length of an epoch and draws videos by
their losses at its start.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from dfjax import FAKE, REAL
from dfjax.data.clips.drawing import Stratum, compute_weights
from dfjax.data.clips.pairs import find_pairs, find_targets
from dfjax.errors import UsageError, unknown

PAIRING = ("none", "balanced", "paired", "source", "auto")
SELF_BLENDED = "self_blended"
"""Name of the method of real videos that training turns into fakes by self-blending."""

NO_SOURCE = -1
Rows = Int[np.ndarray, "_"]
Losses = Float[np.ndarray, "_"]


class Draw(NamedTuple):
    """One clip of a batch.

    Attributes:
        row: Row of the video in the index.
        offset: Position of the clip in the video, in [0, 1).
        anchor: Row of the video whose clip at `offset` starts at the same source frame. It is the
            video itself unless videos are paired.
        blend: Whether self-blending makes a fake of the clip, which is of a real video.
        source: Row of the video that a generator is to restore to this one, or `NO_SOURCE`.
    """

    row: int
    offset: float
    anchor: int
    blend: bool = False
    source: int = NO_SOURCE


class Epoch(NamedTuple):
    """Arrays with the fields of `Draw` of all clips of an epoch."""

    rows: Rows
    offsets: Float[np.ndarray, "_"]
    anchors: Rows
    blends: np.ndarray
    sources: Rows


class EpochOptions(NamedTuple):
    """Options of the epochs of training.

    Attributes:
        pairing: Pairing of real and fake videos, one of `PAIRING`. With `balanced`, every batch has
            as many real as fake clips, and the smaller class is repeated evenly. With `paired`, the
            two clips of a pair start at the same frame, and videos without a partner are not used.
            With `source`, clips are of targets and have the rows of their sources.
            `auto` is replaced as `choose_pairing` says.
        batch_size: Number of clips per batch, over all processes.
        seed: Seed of the run.
        balance_datasets: Whether the data sets of each class are drawn equally often.
        self_blend: Share of the fakes that are replaced by self-blended real videos: by any, or
            with `paired` by that of the pair. With 1, `balanced` and `paired` need no fakes, and
            every real video is used once as it is and once blended.
        hard_mining: Share of the sampling weight that depends on the loss, in [0, 1] (see
            `compute_weights`). The loss of a pair is the larger of its two losses.
        clips: Number of clips per video and epoch, at different positions.
    """

    pairing: str
    batch_size: int
    seed: int
    balance_datasets: bool = False
    self_blend: float = 0.0
    hard_mining: float = 0.0
    clips: int = 1


def choose_pairing(index: pd.DataFrame, rows: Rows, pairing: str) -> str:
    """Returns `pairing`, with `auto` replaced: `paired` if `rows` has pairs, else `balanced`."""
    if pairing != "auto":
        return pairing
    return "paired" if len(find_pairs(index, rows).real) else "balanced"


class Sampler:
    """Draws the clips of an endless sequence of training batches.

    Attributes:
        batches: Number of batches per epoch.
    """

    def __init__(
        self, index: pd.DataFrame, rows: Rows, options: EpochOptions, losses: Losses | None = None
    ) -> None:
        """Prepares the draws.

        Args:
            index: Index with one row per video.
            rows: Rows of the videos to train on.
            options: Options of the epochs.
            losses: Loss of every video of the index, negative if it is not known, for hard-example
                mining. The batches of an epoch are drawn by the losses at its start.

        Raises:
            UsageError: The pairing is unknown, there are no videos, a class or all pairs are
                missing, an option is out of range, or the batch size is odd with pairing.
        """
        _check(options)
        rows = np.asarray(rows, np.int64)
        if not len(rows):
            raise UsageError("no videos to train on")
        options = options._replace(pairing=choose_pairing(index, rows, options.pairing))
        self._options, self._epochs = options, dict[int, Epoch]()
        self._label = index["label"].to_numpy()
        self._strata = [
            _make_stratum(index, members, options, losses)
            for members in _list_units(index, rows, options)
        ]
        reals = rows[self._label[rows] == REAL, None]
        self._reals = _make_stratum(index, reals, options) if options.self_blend else None
        width = sum(stratum.members.shape[1] for stratum in self._strata)
        if options.pairing == "source":  # a pair is one clip of the batch
            width = 1
        longest = max(stratum.length for stratum in self._strata) * options.clips
        self.batches = math.ceil(longest * width / options.batch_size)
        self._draws = self.batches * options.batch_size // width

    def draw(self, batch: int, place: int) -> Draw:
        """Returns one clip of a batch.

        Args:
            batch: Number of the batch, counted from the start of training.
            place: Position of the clip in the batch.
        """
        number, batch = divmod(batch, self.batches)
        epoch = self._epoch(number)
        i = batch * self._options.batch_size + place
        row, offset, anchor, blend, source = (field[i] for field in epoch)
        return Draw(int(row), float(offset), int(anchor), bool(blend), int(source))

    def _epoch(self, number: int) -> Epoch:
        epoch = self._epochs.get(number)
        if epoch is None:  # threads may still read the previous epoch, so it is kept
            epoch = self._make_epoch(number)
            recent = {k: v for k, v in self._epochs.items() if k == number - 1}
            self._epochs = recent | {number: epoch}
        return epoch

    def _make_epoch(self, number: int) -> Epoch:
        """Returns all clips of an epoch. Real and fake clips alternate if they are paired."""
        rng = np.random.default_rng([self._options.seed, number])
        drawn = [stratum.take(self._draws, rng) for stratum in self._strata]
        if self._options.pairing == "source":
            rows, sources = drawn[0].T
            offsets = rng.random(len(rows))
            return Epoch(rows, offsets, rows, np.zeros(len(rows), bool), sources)
        first = [np.broadcast_to(members[:, :1], members.shape) for members in drawn]
        rows, anchors = (np.concatenate(m, axis=1).reshape(-1) for m in (drawn, first))
        if self._options.pairing == "paired":
            offsets = np.repeat(rng.random(self._draws), 2)
        else:
            offsets = rng.random(len(rows))
        blends, sources = np.zeros(len(rows), bool), np.full(len(rows), NO_SOURCE)
        return self._blend(Epoch(rows, offsets, anchors, blends, sources), rng)

    def _blend(self, epoch: Epoch, rng: np.random.Generator) -> Epoch:
        """Replaces a share of the fakes by real videos with `blend` set."""
        options = self._options
        if self._reals is None:
            return epoch
        rows, _, anchors, blends, _ = epoch
        alternate = options.pairing != "none"
        is_fake = np.arange(len(rows)) % 2 if alternate else self._label[rows] == FAKE
        fakes = np.flatnonzero(is_fake)
        chosen = fakes[rng.permutation(len(fakes)) < round(options.self_blend * len(fakes))]
        blends[chosen] = True
        chosen = chosen[self._label[rows[chosen]] == FAKE]
        if options.pairing == "paired":
            rows[chosen] = anchors[chosen]
        elif len(chosen):
            rows[chosen] = anchors[chosen] = self._reals.take(len(chosen), rng)[:, 0]
        return epoch


def _list_units(
    index: pd.DataFrame, rows: Rows, options: EpochOptions
) -> list[Int[np.ndarray, "n m"]]:
    """Returns the units of each stratum: all videos, the videos of each class, or the pairs."""
    if options.pairing == "source":
        return [find_targets(index, rows)]
    label = index["label"].to_numpy()[rows]
    reals, fakes = rows[label == REAL], rows[label == FAKE]
    if options.self_blend and not len(reals):
        raise UsageError("data.self_blend needs real videos, and there are none")
    if options.pairing == "none":
        if options.self_blend and not len(fakes):
            raise UsageError(
                "data.self_blend replaces fakes, and there are none; set data.pairing=balanced "
                "and data.self_blend=1"
            )
        return [rows[:, None]]
    if options.self_blend == 1:
        fakes = reals
    elif options.pairing == "paired":
        reals, fakes, _ = find_pairs(index, rows)
        if not len(reals):
            raise UsageError(
                "data.pairing=paired needs fakes whose pair_id names a real video of the same "
                "split, and there is none; set data.pairing=balanced"
            )
    if options.pairing == "paired":
        return [np.stack([reals, fakes], axis=1)]
    for column, name in ((reals, "real"), (fakes, "fake")):
        if not len(column):
            raise UsageError(f"data.pairing=balanced needs both classes: there is no {name} video")
    return [reals[:, None], fakes[:, None]]


def _make_stratum(
    index: pd.DataFrame,
    members: Int[np.ndarray, "n m"],
    options: EpochOptions,
    losses: Losses | None = None,
) -> Stratum:
    groups = [np.arange(len(members))]
    if options.balance_datasets:
        dataset = index["dataset"].to_numpy()[members[:, 0]]
        groups = [np.flatnonzero(dataset == name) for name in sorted(set(dataset))]
    if losses is None or not options.hard_mining:
        return Stratum(members, groups)
    hardest = losses[members].max(axis=1)
    weights = [compute_weights(hardest[group], options.hard_mining) for group in groups]
    return Stratum(members, groups, weights)


def _check(options: EpochOptions) -> None:
    pairing, batch_size = options.pairing, options.batch_size
    if pairing not in PAIRING:
        raise unknown("data.pairing", pairing, PAIRING)
    for name in ("self_blend", "hard_mining"):
        if not 0 <= getattr(options, name) <= 1:
            raise UsageError(f"data.{name} must be in [0, 1], not {getattr(options, name)}")
    if batch_size < 1:
        raise UsageError(f"train.batch_size must be at least 1, not {batch_size}")
    if pairing not in ("none", "source") and batch_size % 2:
        near = [size for size in (batch_size - 1, batch_size + 1) if size]
        raise UsageError(
            f"data.pairing={pairing} needs an even batch size, because a batch has as many real as "
            f"fake clips, not {batch_size}; nearest sizes: {', '.join(map(str, near))}"
        )
