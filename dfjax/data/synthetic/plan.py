"""Plans the videos of the synthetic data set: person, manipulation and split of each."""

from __future__ import annotations

import dataclasses

from dfjax.data.synthetic.identity import make_generator
from dfjax.data.synthetic.manipulations import MANIPULATIONS
from dfjax.errors import UsageError

DATASET = "synthetic"
SHARES = {"train": 0.6, "val": 0.1, "test": 0.3}  # shares of the identities and of the videos


@dataclasses.dataclass(frozen=True)
class VideoPlan:
    """One video to render.

    Attributes:
        video_id: Id of the video.
        method: Manipulation, a key of `MANIPULATIONS`, or `real`.
        recording: Name of the scene, which a fake shares with its real video.
        target: Id of the person shown.
        donor: Id of the person whose face the method `blend` inserts.
        split: Split of the video.
        group: Name of the group, which is in one split only.
    """

    video_id: str
    method: str
    recording: str
    target: str
    donor: str
    split: str
    group: str


def make_plan(videos: int, identities: int, seed: int) -> list[VideoPlan]:
    """Returns the plans of all videos, half of them real, with one fake per real video.

    Identities form pairs, each the donor of the other in a `blend`. The two identities of a pair
    are therefore one `group`, which is in one split only. Within a split, the numbers of fakes of
    any two methods differ by at most 1, and so do those of any two identities.

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
        for index, method in enumerate(_order_methods(share, split, seed)):
            target = people[index % len(people)]
            plans += _make_pair(target, index // len(people), method, split)
    return plans


def _divide(couples: int) -> dict[str, tuple[int, int]]:
    """Returns the range of pairs of identities of each split, as first and last + 1."""
    val = max(1, round(couples * SHARES["val"]))
    test = max(1, round(couples * SHARES["test"]))
    train = couples - val - test
    return {"train": (0, train), "val": (train, train + val), "test": (train + val, couples)}


def _order_methods(count: int, split: str, seed: int) -> list[str]:
    """Returns the methods of the fakes of a split in random order, with equal frequencies."""
    methods = list(MANIPULATIONS)
    order = make_generator(seed, "methods", split).permutation(count)
    return [methods[i % len(methods)] for i in order]


def _make_pair(target: int, take: int, method: str, split: str) -> list[VideoPlan]:
    shown, donor = f"{target:03d}", f"{target ^ 1:03d}"
    people = f"{shown}_{donor}" if method == "blend" else shown
    return [
        VideoPlan(
            video_id=f"{DATASET}/{name}/{who}_{take:02d}",
            method=name,
            recording=f"{shown}_{take:02d}",
            target=shown,
            donor=donor,
            split=split,
            group=f"{DATASET}/couple-{target // 2:03d}",
        )
        for name, who in (("real", shown), (method, people))
    ]
