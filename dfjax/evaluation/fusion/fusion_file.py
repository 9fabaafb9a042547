"""The fusion file: detectors, the rule that combines them, and what it was fitted to."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import dfjax
from dfjax.errors import FileError, UsageError
from dfjax.evaluation.fusion.rules import FIXED, METHODS, Rule
from dfjax.evaluation.videos.aggregation import VIDEO
from dfjax.files import open_regular, read_hashed_json, write_hashed_json

FORMAT = 1
KEY = "dfjax_fusion"
REMEDY = "run `dfjax fuse` again"
MOST_BYTES = 2**28
MOST_MEMBERS = 1000

MEMBER = {"name": str, "source": str, "kind": str, "sha256": str}
SCHEMA = {
    KEY: int,
    "method": str,
    "weights": [float],
    "bias": float,
    "members": [MEMBER],
    "fitted": {
        "split": str,
        "tables": [{"path": str, "sha256": str}],
        "videos": [[str]],
    },
}


@dataclass(frozen=True)
class Member:
    """A detector of a fusion.

    Attributes:
        name: Name of the detector.
        source: Its workdir, weights file or table of predictions.
        kind: `detector` or `table`.
        sha256: Hash of the checkpoint's files, or of the table.
    """

    name: str
    source: Path
    kind: str
    sha256: str


@dataclass(frozen=True)
class Fusion:
    """A rule for some detectors.

    Attributes:
        rule: Rule that combines their scores of a video.
        members: Detectors, in the order of the rule's weights.
        split: Split that the rule was fitted to.
        tables: `path` and `sha256` of the predictions that it was fitted to; empty without a fit.
        videos: (dataset, video_id) of these videos; empty without a fit.
        path: File that it was read from.
    """

    rule: Rule
    members: Sequence[Member]
    split: str = ""
    tables: Sequence[Mapping[str, str]] = ()
    videos: frozenset[tuple[str, str]] = field(default_factory=frozenset)
    path: Path = Path()

    def check_unseen(self, videos: pd.DataFrame) -> None:
        """Checks that none of the videos is one that the rule was fitted to.

        Args:
            videos: Rows with the columns `dataset` and `video_id`.

        Raises:
            UsageError: The rule was fitted to some of them, so that its scores are optimistic.
        """
        seen = self.videos & set(videos[VIDEO].itertuples(index=False, name=None))
        if seen:
            raise UsageError(
                f"{self.path} was fitted to {len(seen)} of these videos, for example "
                f"{'/'.join(min(seen))} (split {self.split}): evaluate another split"
            )


def is_fusion(path: str | os.PathLike[str]) -> bool:
    """Returns whether a path is a fusion file, by its suffix and first bytes."""
    path = Path(path)
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    with open_regular(path) as file:
        return f'"{KEY}"'.encode() in file.read(64)


def write_fusion(fusion: Fusion, path: Path, scores: Sequence[Mapping[str, Any]]) -> None:
    """Writes a fusion file atomically; paths of members are relative to its folder.

    Args:
        fusion: The fusion.
        path: File to write.
        scores: Metrics of the members and of the rule, for people who read the file.
    """
    folder = path.resolve().parent
    members = [
        {
            "name": one.name,
            "source": os.path.relpath(one.source.resolve(), folder),
            "kind": one.kind,
            "sha256": one.sha256,
        }
        for one in fusion.members
    ]
    fitted = {
        "split": fusion.split,
        "tables": [dict(one) for one in fusion.tables],
        "videos": sorted(map(list, fusion.videos)),
    }
    value = {
        KEY: FORMAT,
        "version": dfjax.__version__,
        "method": fusion.rule.method,
        "weights": list(fusion.rule.weights),
        "bias": fusion.rule.bias,
        "members": members,
        "scores": list(scores),
        "fitted": fitted,
    }
    write_hashed_json(path, value)


def read_fusion(path: str | os.PathLike[str]) -> Fusion:
    """Returns the fusion in a file.

    Raises:
        FileError: The file cannot be read, is damaged, was changed since it was written, or has
            values that no fusion has.
    """
    path = Path(path)
    if path.is_file() and path.stat().st_size > MOST_BYTES:
        raise FileError(f"{path} is too large for a fusion; {REMEDY}")
    value = read_hashed_json(path, SCHEMA, remedy=REMEDY)
    try:
        return _build(value, path)
    except ValueError as error:
        raise FileError(f"{path} is damaged: {error}; {REMEDY}") from error


def _build(value: dict[str, Any], path: Path) -> Fusion:
    if value[KEY] != FORMAT:
        raise ValueError(f"its format is {value[KEY]}, and {FORMAT} is known")
    method, weights = value["method"], np.array([*value["weights"], value["bias"]], np.float64)
    if method not in METHODS:
        raise ValueError(f"its method {method!r:.40} is unknown")
    if not np.isfinite(weights).all():
        raise ValueError("its weights are not finite")
    kinds = {one["kind"] for one in value["members"]}
    if not 2 <= len(value["members"]) <= MOST_MEMBERS or kinds not in ({"detector"}, {"table"}):
        raise ValueError("its members are not two or more detectors, or two or more tables")
    wanted = 0 if method in FIXED else len(value["members"])
    if len(weights) != wanted + 1:
        raise ValueError(f"its method {method} needs {wanted} weights, not {len(weights) - 1}")
    if len({one["name"] for one in value["members"]}) < len(value["members"]):
        raise ValueError("two of its members have one name")
    if any(len(pair) != 2 for pair in value["fitted"]["videos"]):
        raise ValueError("its videos are not pairs of data set and id")
    if any("\x00" in one["source"] for one in value["members"]):
        raise ValueError("the path of a member has a null character")
    members = [
        Member(one["name"], path.parent / one["source"], one["kind"], one["sha256"])
        for one in value["members"]
    ]
    return Fusion(
        rule=Rule(method, tuple(map(float, weights[:-1])), float(weights[-1])),
        members=members,
        split=value["fitted"]["split"],
        tables=value["fitted"]["tables"],
        videos=frozenset((a, b) for a, b in value["fitted"]["videos"]),
        path=path,
    )
