"""Finds near-duplicate faces in different splits: copies that were cut, scaled or re-encoded.

The descriptor of a face crop is a set of low spatial frequencies without the very lowest, which
hold only the light and the oval shape that all faces have. The signs of 64 coefficients are hashed
in four bands (locality-sensitive hashing). Crops with a band in common are compared, and are
duplicates if their descriptors correlate. The cost allows for hundreds of thousands of videos, but
not every pair is compared: about 92 % of the pairs with a correlation of 0.99 have a band in
common, and 55 % of those with 0.95, among which there are also strangers in the same pose.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.fft import dctn

from dfjax.data.index.audit.faces import SHOTS, Faces
from dfjax.data.index.audit.findings import Evidence, Finding, Rule, make_finding, name_some
from dfjax.data.index.splits import PARTS

SAME = 0.95  # correlation from which two crops show the same moment
BANDS, BITS = 4, 16  # hash bands per crop, bits per band
LOWEST = 6  # the coefficients with u + v below 3 are left out
DIMENSIONS = 160  # length of a descriptor
FLAT = 24.0  # norm of a descriptor below which a crop has no content (a black frame)
BLOCK = 1024  # crops per matrix product
FEW = 20_000  # number of crops up to which `exhaustive` compares all pairs


class Match(NamedTuple):
    """Two crops of different videos that show the same moment.

    Attributes:
        row: Position of the first video in the index.
        shot: Number of its crop, from 0 to SHOTS - 1.
        other_row: Position of the second video in the index.
        other_shot: Number of its crop.
        correlation: Correlation of the two descriptors.
    """

    row: int
    shot: int
    other_row: int
    other_shot: int
    correlation: float


def make_rule(matches: Sequence[Match]) -> Rule:
    """Returns the rule that reports `matches`."""

    def near_duplicates(evidence: Evidence) -> Iterable[Finding]:
        """Yields an error when videos in different splits show the same face at the same moment."""
        if not matches:
            return
        names = evidence.index["video_id"].to_numpy(object)
        ids = {names[row] for match in matches for row in (match.row, match.other_row)}
        examples = (f"{names[m.row]} = {names[m.other_row]} ({m.correlation:.3f})" for m in matches)
        message = (
            f"{len(matches)} pairs of videos in different splits show the same face at the same "
            f"moment: {name_some(examples)}; give each pair one `group` and split by it, or remove "
            "the videos"
        )
        code = "near_duplicate_across_splits"
        yield make_finding(code, "error", message, ids, figure="near_duplicates")

    return near_duplicates


def find_matches(evidence: Evidence) -> list[Match]:
    """Returns the best match of every pair of videos in different splits, best first.

    Pairs that are known to share a group, a recording, a person or a file are left out, because
    other rules report them.
    """
    faces, index = evidence.faces, evidence.index
    if faces is None:
        return []
    sides_of = {name: number for number, name in enumerate(PARTS)}
    split = index["split"].map(sides_of).fillna(-1).to_numpy(np.int64)[faces.row]
    used = np.flatnonzero(split >= 0)
    if len(np.unique(split[used])) < 2:
        return []
    told = _Relations(index)
    found = match_videos(faces, used, split[used])
    return [match for match in found if not told.related(match.row, match.other_row)]


def match_videos(
    faces: Faces,
    used: Int[np.ndarray, "U"],
    sides: Int[np.ndarray, "U"],
    *,
    least: float = SAME,
    exhaustive: bool = False,
) -> list[Match]:
    """Returns the best match of every pair of videos on different sides, best first.

    Args:
        faces: Crops of all videos.
        used: Positions of the videos in `faces`.
        sides: Side of each of these videos, such as its split. Videos of one side are not compared.
        least: Correlation from which two crops match.
        exhaustive: Whether all pairs of up to `FEW` crops are compared, not only those that share a
            hash band.
    """
    described, usable = describe_faces(faces, used)
    if not len(usable):  # every crop is of one colour
        return []
    shots = np.tile(np.arange(SHOTS), len(used))[usable]
    rows = np.repeat(faces.row[used], SHOTS)[usable]
    best: dict[tuple[int, int], Match] = {}
    sides = np.repeat(sides, SHOTS)[usable]
    every = exhaustive and len(usable) <= FEW
    for a, b, correlation in (_compare_all if every else _compare_hashed)(described, sides, least):
        low, high = (a, b) if rows[a] < rows[b] else (b, a)
        key = int(rows[low]), int(rows[high])
        if key not in best or correlation > best[key].correlation:
            best[key] = Match(key[0], int(shots[low]), key[1], int(shots[high]), correlation)
    return sorted(best.values(), key=lambda match: (-match.correlation, match.row, match.other_row))


def describe_faces(
    faces: Faces, used: Int[np.ndarray, "U"]
) -> tuple[Float[np.ndarray, "F D"], Int[np.ndarray, "F"]]:
    """Returns the descriptors of crops, and the positions of the crops that have one.

    Descriptors are unit vectors, so their products are correlations. Crops without content (black
    frames) have none.

    Args:
        faces: Crops of all videos.
        used: Positions of the videos in `faces`. Their crops are numbered consecutively, SHOTS per
            video.
    """
    side = faces.patches.shape[-1]
    u, v = np.divmod(np.arange(side * side), side)
    order = np.lexsort((u, u + v))[LOWEST : LOWEST + DIMENSIONS]
    parts = []
    for start in range(0, len(used), BLOCK):
        patches = faces.patches[used[start : start + BLOCK]].reshape(-1, side, side)
        spectrum = dctn(patches.astype(np.float32), axes=(1, 2), norm="ortho")
        parts.append(spectrum.reshape(len(patches), -1)[:, order])
    vectors = np.concatenate(parts)
    norm = np.linalg.norm(vectors, axis=1)
    usable = np.flatnonzero(norm > FLAT)
    return vectors[usable] / norm[usable, None], usable


def _compare_all(
    described: Float[np.ndarray, "F D"], sides: Int[np.ndarray, "F"], least: float
) -> Iterator[tuple[int, int, float]]:
    """Yields all pairs of crops on different sides that correlate."""
    return _compare_bucket(described, sides, np.arange(len(described)), least)


def _compare_hashed(
    described: Float[np.ndarray, "F D"], sides: Int[np.ndarray, "F"], least: float
) -> Iterator[tuple[int, int, float]]:
    """Yields pairs of crops on different sides that share a hash band and correlate."""
    signs = described > 0
    for band in range(BANDS):
        # The bits of a band are spread over frequencies, so that one distortion spares some bands.
        code = signs[:, band : band + BANDS * BITS : BANDS] @ (1 << np.arange(BITS))
        order = np.argsort(code, kind="stable")
        starts = np.flatnonzero(np.r_[True, np.diff(code[order]) != 0])
        sorted_sides = sides[order]
        low = np.minimum.reduceat(sorted_sides, starts)
        high = np.maximum.reduceat(sorted_sides, starts)
        ends = np.r_[starts[1:], len(order)]
        for place in np.flatnonzero(low != high):
            yield from _compare_bucket(described, sides, order[starts[place] : ends[place]], least)


def _compare_bucket(
    described: Float[np.ndarray, "F D"],
    sides: Int[np.ndarray, "F"],
    members: Int[np.ndarray, "n"],
    least: float,
) -> Iterator[tuple[int, int, float]]:
    for start in range(0, len(members), BLOCK):
        some = members[start : start + BLOCK]
        products = described[some] @ described[members].T
        apart = sides[some][:, None] < sides[members]  # each pair once
        for i, j in zip(*np.nonzero((products >= least) & apart)):
            yield int(some[i]), int(members[j]), float(products[i, j])


class _Relations:
    """Looks up whether two videos are known to be related."""

    def __init__(self, index: pd.DataFrame) -> None:
        self._columns = [index[name].to_numpy(object) for name in ("group", "origin_id", "sha256")]
        self._people = index["identities"].to_numpy(object)

    def related(self, a: int, b: int) -> bool:
        same = any(column[a] == column[b] and pd.notna(column[a]) for column in self._columns)
        people = [set(p) if isinstance(p, list) else set() for p in self._people[[a, b]]]
        return same or bool(people[0] & people[1])
