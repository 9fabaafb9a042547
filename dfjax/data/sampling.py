"""Which videos come in which batch: pure functions of the seed and the epoch.

An epoch is every video once (`none`), every video of the larger class once (`balanced`) or every
fake once, each next to the real video it was made from (`paired`). Its last batch is filled up
with further draws, so that no video is left out and all batches have one size.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Int

from dfjax import FAKE, REAL
from dfjax.errors import UsageError, unknown

PAIRING = ("none", "balanced", "paired")

Rows = Int[np.ndarray, "_"]


Epoch = tuple[Rows, Rows, np.ndarray]
"""Rows, anchors and offsets of all clips of an epoch."""


class Draw(NamedTuple):
    """One clip of a batch.

    Attributes:
        row: the video.
        offset: in [0, 1), where in the video.
        anchor: the video whose clip at `offset` this one should start with; itself unless paired.
    """

    row: int
    offset: float
    anchor: int


class Pairs(NamedTuple):
    """Real videos and their fakes, place by place, and the videos that have no partner."""

    real: Rows
    fake: Rows
    alone: Rows


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
        self, index: pd.DataFrame, rows: Rows, *, pairing: str, batch_size: int, seed: int
    ) -> None:
        """Prepares the draws.

        Args:
            index: the pack's.
            rows: positions in it of the videos to train on.
            pairing: one of PAIRING. `balanced` has as many reals as fakes in every batch and
                repeats the smaller class evenly. `paired` leaves out videos without a partner and
                gives both clips of a pair the same start.
            batch_size: clips per batch, over all processes.
            seed: of the run.

        Raises:
            UsageError: an unknown pairing, no videos, a class or every pair missing, or a batch
                that cannot be halved.
        """
        if pairing not in PAIRING:
            raise unknown("data.pairing", pairing, PAIRING)
        _check_batch(batch_size, pairing)
        rows = np.asarray(rows, np.int64)
        if not len(rows):
            raise UsageError("no videos to train on")
        self._columns = _make_columns(index, rows, pairing)
        self._batch_size, self._seed = batch_size, seed
        longest = max(len(column) for column in self._columns)
        self.batches = math.ceil(longest * len(self._columns) / batch_size)
        self._paired = pairing == "paired"
        self._epochs: dict[int, Epoch] = {}

    def draw(self, batch: int, place: int) -> Draw:
        """Returns clip `place` of batch number `batch`, counted from the start of the run."""
        epoch, batch = divmod(batch, self.batches)
        rows, anchors, offsets = self._epoch(epoch)
        i = batch * self._batch_size + place
        return Draw(int(rows[i]), float(offsets[i]), int(anchors[i]))

    def _epoch(self, epoch: int) -> Epoch:
        draws = self._epochs.get(epoch)
        if draws is None:  # the epoch before stays: threads are not all equally far
            draws = self._make_epoch(epoch)
            recent = {k: v for k, v in self._epochs.items() if k == epoch - 1}
            self._epochs = recent | {epoch: draws}
        return draws

    def _make_epoch(self, epoch: int) -> Epoch:
        """Rows, anchors and offsets of all clips of an epoch; real and fake alternate."""
        rng = np.random.default_rng([self._seed, epoch])
        draws = self.batches * self._batch_size // len(self._columns)
        if self._paired:
            order = fill(len(self._columns[0]), draws, rng)
            columns = [column[order] for column in self._columns]
            offsets = np.repeat(rng.random(draws), 2)
            anchors = np.repeat(columns[0], 2)
            return np.stack(columns, 1).reshape(-1), anchors, offsets
        columns = [column[fill(len(column), draws, rng)] for column in self._columns]
        rows = np.stack(columns, 1).reshape(-1)
        return rows, rows, rng.random(len(rows))


def fill(n: int, length: int, rng: np.random.Generator) -> Int[np.ndarray, "{length}"]:
    """Returns `length` numbers below n: permutations one after another, so all equally often."""
    return np.concatenate([rng.permutation(n) for _ in range(math.ceil(length / n))])[:length]


def _make_columns(index: pd.DataFrame, rows: Rows, pairing: str) -> list[Rows]:
    if pairing == "none":
        return [rows]
    if pairing == "paired":
        pairs = find_pairs(index, rows)
        if not len(pairs.real):
            raise UsageError(
                "data.pairing=paired needs fakes whose pair_id names a real video of the same "
                "split, and there is none; set --config.data.pairing=balanced"
            )
        return [pairs.real, pairs.fake]
    label = index["label"].to_numpy()[rows]
    columns = [rows[label == REAL], rows[label == FAKE]]
    for column, name in zip(columns, ("real", "fake")):
        if not len(column):
            raise UsageError(f"data.pairing=balanced needs both classes: there is no {name} video")
    return columns


def _check_batch(batch_size: int, pairing: str) -> None:
    if batch_size < 1:
        raise UsageError(f"a batch needs at least 1 clip, not {batch_size}")
    if pairing != "none" and batch_size % 2:
        near = [size for size in (batch_size - 1, batch_size + 1) if size]
        raise UsageError(
            f"data.pairing={pairing} puts as many real as fake clips in a batch, which "
            f"{batch_size} does not allow; nearest sizes: {', '.join(map(str, near))}"
        )
