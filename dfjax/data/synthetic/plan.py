"""Plans the videos of the data set: person, manipulation and split of each."""

from __future__ import annotations

import dataclasses

from dfjax.data.synthetic.identity import make_generator
from dfjax.data.synthetic.manipulations import MANIPULATIONS
from dfjax.errors import UsageError

DATASET = "synthetic"
SHARES = {"train": 0.6, "val": 0.1, "test": 0.3}  # shares of the identities and of the videos


@dataclasses.dataclass(frozen=True)
class VideoPlan:
    """One video to draw. A fake has the `recording` (the scene) of its real video."""

    video_id: str
    method: str  # `real`, or a key of MANIPULATIONS
    recording: str
    target: str
    donor: str  # the partner of `target`, whose face a `blend` pastes in
    split: str
    group: str


def make_plan(videos: int, identities: int, seed: int) -> list[VideoPlan]:
    """Returns the plans of all videos, half of them real, with one fake per real video.

    Identities form couples. In a `blend` each is the donor of the other, so the couple is the
    `group` that never crosses a split. Each method has nearly the same number of videos within a
    split, and so has each identity.

    Args:
        videos: Number of videos, even and at least twice the number of identities.
        identities: Number of people, even and at least 6.
        seed: Seed of the data set.

    Raises:
        UsageError: `videos` or `identities` is odd or too small.
    """
    couples = identities // 2
    if identities % 2 or couples < len(SHARES):
        raise UsageError(f"identities must be an even number of at least 6, not {identities}")
    if videos % 2 or videos < 4 * couples:
        raise UsageError(
            f"videos must be an even number of at least twice the identities ({4 * couples}), "
            f"not {videos}"
        )
    plans = []
    for split, (first, last) in _divide(couples).items():
        share = round(videos // 2 * last / couples) - round(videos // 2 * first / couples)
        people = range(2 * first, 2 * last)
        for index, method in enumerate(_deal_methods(share, split, seed)):
            target = people[index % len(people)]
            plans += _make_pair(target, index // len(people), method, split)
    return plans


def _divide(couples: int) -> dict[str, tuple[int, int]]:
    """Returns the first and the one-past-last couple of each split; each has at least one."""
    val = max(1, round(couples * SHARES["val"]))
    test = max(1, round(couples * SHARES["test"]))
    train = couples - val - test
    return {"train": (0, train), "val": (train, train + val), "test": (train + val, couples)}


def _deal_methods(count: int, split: str, seed: int) -> list[str]:
    methods = list(MANIPULATIONS)
    deck = [methods[i % len(methods)] for i in range(count)]
    order = make_generator(seed, "methods", split).permutation(count)
    return [deck[i] for i in order]


def _make_pair(target: int, take: int, method: str, split: str) -> list[VideoPlan]:
    shown, lent = f"{target:03d}", f"{target ^ 1:03d}"
    people = f"{shown}_{lent}" if method == "blend" else shown
    return [
        VideoPlan(
            video_id=f"{DATASET}/{name}/{who}_{take:02d}",
            method=name,
            recording=f"{shown}_{take:02d}",
            target=shown,
            donor=lent,
            split=split,
            group=f"{DATASET}/couple-{target // 2:03d}",
        )
        for name, who in (("real", shown), (method, people))
    ]
