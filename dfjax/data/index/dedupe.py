"""Joins near-duplicate videos of an index into one group, which no split then divides."""

import dataclasses
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from dfjax.data.faces.recipe import make_metadata, read_crop_recipe
from dfjax.data.index.audit.duplicates import Match, match_videos
from dfjax.data.index.audit.faces import Faces, read_faces
from dfjax.data.index.components import Component, connect, find_components, known
from dfjax.data.index.frame_paths import rebase_frames
from dfjax.data.index.records import find_index, read_index, write_index
from dfjax.data.index.splits import PARTS, UNITS
from dfjax.errors import UsageError
from dfjax.outputs import check_outputs
from dfjax.results import Result

SIMILAR = 0.93
"""Default correlation from which crops are joined. It is below that of the audit (0.95), because
correlations change a little when crops are packed and read again."""

SHOWN = 10  # joined groups in a description
LARGE_GROUP = 0.05  # share of the videos in one group above which a note is given


class Pair(NamedTuple):
    """Two videos with near-duplicate crops: their ids and the correlation of the crops."""

    video_id: str
    other_id: str
    correlation: float


@dataclasses.dataclass(frozen=True)
class DedupeReport(Result):
    """Summary of an index whose near duplicates are in one group.

    Attributes:
        index: Index file.
        videos: Number of rows.
        pairs: Near-duplicate videos that were in different groups, best match first.
        joined: Ids of the videos of each joined group, by name of the group, largest first.
        groups: Number of groups before and after joining.
        largest: Number of videos of the largest group.
        unreadable: Error messages of the videos whose crops cannot be read, by id.
        notes: Sentences for the user.
    """

    index: Path
    videos: int
    pairs: list[Pair]
    joined: dict[str, list[str]]
    groups: tuple[int, int]
    largest: int
    unreadable: dict[str, str]
    notes: list[str]

    def describe(self) -> list[str]:
        """Returns the summary as lines of text, with the first joined groups."""
        best = {name: pair for pair in reversed(self.pairs) for name in pair[:2]}
        lines = []
        for group, videos in list(self.joined.items())[:SHOWN]:
            pair = next((best[name] for name in videos if name in best), None)
            how = f"{pair[0]} = {pair[1]} ({pair[2]:.3f})" if pair else "identical files"
            lines.append(f"{group}: {len(videos)} videos, {how}")
        if len(self.joined) > SHOWN:
            lines.append(f"and {len(self.joined) - SHOWN} more joined groups")
        before, after = self.groups
        return [
            *lines,
            f"{self.index}: {self.videos} videos, {len(self.joined)} joined groups; {before} "
            f"groups before, {after} after; the largest has {self.largest} videos "
            f"({self.largest / self.videos:.1%})",
        ]

    def list_errors(self) -> list[str]:
        """Returns a line for each video whose crops cannot be read."""
        return [f"{video}: {error}" for video, error in self.unreadable.items()]

    def to_json(self) -> dict[str, Any]:
        """Returns the summary as a JSON object."""
        before, after = self.groups
        return {
            "index": str(self.index),
            "videos": self.videos,
            "groups": {"before": before, "after": after},
            "largest": self.largest,
            "joined": self.joined,
            "pairs": [pair._asdict() for pair in self.pairs],
            "unreadable": self.unreadable,
        }


def dedupe_index(
    index: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    similarity: float = SIMILAR,
    command: str = "dfjax data dedupe",
) -> DedupeReport:
    """Writes an index in which near-duplicate videos have the same `group`.

    Videos are joined if a crop of one correlates with a crop of the other as in the audit, or if
    their files or crops are identical. Joining is transitive. The name of a joined group is the
    smallest of its names. No other column changes; splits have to be assigned again.

    Args:
        index: Index of crops or of a pack, or the folder that contains it.
        out: Index to write.
        similarity: Least correlation of near-duplicate crops. Of up to 20,000 crops (three per
            video), all pairs are compared; of more, those that the audit compares.
        command: Command to record in the metadata of the index.

    Raises:
        UsageError: `similarity` is not in (0, 1], or the index has no readable crops.
    """
    if not 0 < similarity <= 1:
        raise UsageError(f"similarity must be above 0 and at most 1, not {similarity}")
    source, out = find_index(index), Path(out)
    check_outputs([out], inputs=[source])
    before = read_index(source)
    faces, errors = read_faces(before, source.parent)
    if faces is None:
        example = f": {next(iter(errors.values()))}" if errors else ""
        raise UsageError(f"{source} has no readable crops (`dfjax data extract`){example}")
    unit = find_components(before, UNITS["group"])
    matches = match_videos(
        faces, np.arange(len(faces.row)), unit[faces.row], least=similarity, exhaustive=True
    )
    whole = _join(before, unit, matches, faces)
    after, joined = _rename(before, unit, whole)
    notes = _describe_largest(whole, similarity) + _describe_splits(after, joined)
    if "pack_row" in after:  # the records of the pack are stored by their splits
        after = after.drop(columns="pack_row")
        notes.append("pack the crops again, after splitting, to train on them")
    metadata = make_metadata(read_crop_recipe(source))
    write_index(
        rebase_frames(after, source.parent, out.parent), out, command=command, metadata=metadata
    )
    names = before["video_id"].tolist()
    return DedupeReport(
        index=out,
        videos=len(after),
        pairs=[Pair(names[m.row], names[m.other_row], m.correlation) for m in matches],
        joined=joined,
        groups=(int(unit.max()) + 1, int(whole.max()) + 1),
        largest=int(np.bincount(whole).max()),
        unreadable={names[row]: error for row, error in errors.items()},
        notes=notes,
    )


def _join(index: pd.DataFrame, unit: Component, matches: list[Match], faces: Faces) -> Component:
    """Returns the components of the units that matches, equal files or equal crops connect."""
    rows = np.array([(m.row, m.other_row) for m in matches], np.int64).reshape(-1)
    pairs = rows, np.repeat(np.arange(len(matches)), 2)
    content = faces.row, np.asarray(faces.content, object)
    every = np.arange(len(index)), unit
    return connect(len(index), [every, pairs, known(index, "sha256"), content])


def _rename(
    index: pd.DataFrame, unit: Component, whole: Component
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Returns the index with one group per component of several units, and these groups."""
    table = pd.DataFrame({"unit": unit, "whole": whole, "group": index["group"]})
    by_whole = table.groupby("whole")
    several = (by_whole["unit"].transform("nunique") > 1).to_numpy()
    after = index["group"].where(~several, by_whole["group"].transform("min"))
    members = index["video_id"][several].groupby(after[several]).agg(list)
    joined: dict[Any, list[str]] = members.to_dict()
    order = sorted(joined, key=lambda name: (-len(joined[name]), name))
    return index.assign(group=after), {name: joined[name] for name in order}


def _describe_largest(whole: Component, similarity: float) -> list[str]:
    """Returns a note if one group has a large share of the videos, as chains of matches make it."""
    share = np.bincount(whole).max() / len(whole)
    if share <= LARGE_GROUP:
        return []
    return [
        f"the largest group has {share:.0%} of all videos; a similarity above {similarity:g} joins "
        "fewer videos"
    ]


def _describe_splits(index: pd.DataFrame, joined: dict[str, list[str]]) -> list[str]:
    """Returns a note if joined groups are in several splits."""
    rows = index[index["split"].isin(PARTS) & index["group"].isin(joined)]
    crossing = int((rows.groupby("group")["split"].nunique() > 1).sum())
    if not crossing:
        return []
    return [f"{crossing} joined groups are in several splits; split by group again"]
