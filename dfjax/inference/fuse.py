"""Fits a rule that combines detectors, and applies it to tables: `dfjax fuse`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import RenderableType
from rich.table import Table

from dfjax.data.index.records import read_index
from dfjax.errors import FileError, UsageError
from dfjax.evaluation.comparison.paired_scores import PairedScores, locate, pair_scores
from dfjax.evaluation.fusion.fusion_file import Fusion, Member, write_fusion
from dfjax.evaluation.fusion.rules import FITTED, Rule, cross_fuse, fit_rule
from dfjax.evaluation.metrics import compute
from dfjax.evaluation.report.rows import format_number
from dfjax.evaluation.tables.predictions import read_predictions
from dfjax.evaluation.tables.split_choice import choose_split
from dfjax.evaluation.videos.aggregation import VIDEO
from dfjax.files import hash_file
from dfjax.outputs import check_outputs
from dfjax.results import Result

AnyPath = str | os.PathLike[str]

SHOWN = ("video_auc", "log_loss", "ece", "accuracy")
FEWEST = 10


@dataclass(frozen=True)
class FusionReport(Result):
    """A fusion that was written.

    Attributes:
        fusion: The fusion.
        scores: Metrics of every detector and of the rule, which a video's fold was left out of.
        videos: Number of videos that all detectors scored.
        left_out: Number of videos of each detector that some other detector did not score.
    """

    fusion: Fusion
    scores: list[dict[str, Any]]
    videos: int
    left_out: list[int]

    def list_notes(self) -> list[str]:
        """Returns how many videos were left out."""
        if not any(self.left_out):
            return []
        return [f"{sum(self.left_out)} scores are of videos that another detector did not score"]

    def describe(self) -> Sequence[RenderableType]:
        """Returns a table of the detectors with their weights, and the rule."""
        table = Table(box=None, pad_edge=False)
        for name in ("detector", "weight", "AUC", "95 %", "log loss", "ECE", "acc"):
            table.add_column(name, justify="left" if name == "detector" else "right")
        for row in self.scores:
            low, high = row["video_auc_ci"] or (None, None)
            numbers = [format_number(row[name]) for name in SHOWN]
            interval = f"{format_number(low)}–{format_number(high)}"
            weight = "" if row["weight"] is None else f"{row['weight']:.3f}"
            table.add_row(row["name"], weight, numbers[0], interval, *numbers[1:])
        rule = self.fusion.rule
        fitted = rule.method in FITTED
        how = "cross-validated" if fitted else "not fitted"
        lines = [f"{rule.method} of {self.videos} videos of split {self.fusion.split}: {how}"]
        if fitted:
            lines.append(f"bias {rule.bias:.3f}; these videos are refused in evaluations of it")
        return [table, *lines, f"written to {self.fusion.path}"]

    def to_json(self) -> dict[str, Any]:
        """Returns the rule and the metrics."""
        rule = self.fusion.rule
        return {
            "fusion": str(self.fusion.path),
            **rule._asdict(),
            "split": self.fusion.split,
            "videos": self.videos,
            "scores": self.scores,
        }


def fuse(
    *sources: AnyPath,
    out: AnyPath,
    method: str = "weights",
    tables: Sequence[AnyPath] = (),
    split: str = "val",
    names: Sequence[str] | None = None,
    index: AnyPath | None = None,
    nonnegative: bool = False,
    seed: int = 0,
) -> FusionReport:
    """Fits a rule to the predictions of several detectors and writes a fusion file.

    Args:
        *sources: Detectors: evaluated workdirs, or tables of predictions of any program.
        out: Fusion file to write, with the suffix `.json`.
        method: `majority`, `mean_prob`, `mean_logit`, `confidence`, `weights` or `stacking`.
        tables: Predictions that the rule is fitted to, in the order of the sources, for example
            out-of-fold predictions; empty for those of the sources.
        split: Split of the predictions, or `all`.
        names: Names of the detectors; None for those of workdirs and files.
        index: Index of the videos, whose groups stay in one fold.
        nonnegative: Whether learned weights must not be negative.
        seed: Seed of the folds.

    Raises:
        UsageError: A source cannot be read, sources have no video in common, the split is `test`
            and the method is fitted, or there are fewer than ten videos of a class.
    """
    path = Path(out)
    if path.suffix != ".json":
        raise UsageError(f"a fusion file has the suffix .json, which {path} has not")
    if tables and len(tables) != len(sources):
        raise UsageError(f"{len(tables)} tables do not fit {len(sources)} detectors")
    if method in FITTED and split == "test":
        raise UsageError("a rule is not fitted to the test split; fit it to val")
    read = [Path(one) for one in tables or sources]
    files = [found for one in read if isinstance(found := locate(one, split), Path)]
    check_outputs([path], inputs=files)
    known = read_index(Path(index)) if index else None
    paired = pair_scores(read, split=split, index=known, names=names)
    labels, clusters = paired.labels, paired.clusters.number
    if method in FITTED and min(int(labels.sum()), int((1 - labels).sum())) < FEWEST:
        raise UsageError(f"{method} needs at least {FEWEST} videos of each class in split {split}")
    options: dict[str, Any] = {"nonnegative": nonnegative, "seed": seed}
    rule = fit_rule(method, paired.probs, labels, clusters, **options)
    fused = cross_fuse(method, paired.probs, labels, clusters, **options)
    members = _find_members([Path(one) for one in sources], paired.names)
    fusion = Fusion(rule, members, split, path=path)
    if method in FITTED:
        hashes = [{"path": str(one), "sha256": hash_file(one)} for one in files]
        videos = frozenset(paired.videos.itertuples(index=False, name=None))
        fusion = replace(fusion, tables=hashes, videos=videos)
    scores = _measure(paired, rule, fused)
    write_fusion(fusion, path, scores)
    return FusionReport(fusion, scores, len(labels), paired.left_out)


def _find_members(sources: Sequence[Path], names: Sequence[str]) -> list[Member]:
    """Returns the members: all are detectors, or all are tables."""
    are_tables = [path.is_file() and path.suffix != ".safetensors" for path in sources]
    if any(are_tables) and not all(are_tables):
        raise UsageError("name workdirs or tables of predictions, not both")
    if all(are_tables):
        hashes = map(hash_file, sources)
        return [Member(n, p, "table", sha) for n, p, sha in zip(names, sources, hashes)]
    from dfjax.inference.ensemble import combine, load  # JAX takes seconds to import

    detectors = [load(path) for path in sources]
    combine(detectors)
    return [
        Member(name, path, "detector", one.checkpoint_sha256)
        for name, path, one in zip(names, sources, detectors)
    ]


def _measure(paired: PairedScores, rule: Rule, fused: np.ndarray) -> list[dict[str, Any]]:
    weights = [*(rule.weights or [None] * len(paired.names)), None]
    rows = zip([*paired.names, rule.method], weights, [*paired.probs, fused])
    return [
        {"name": name, "weight": weight, **_compute(paired, probs)} for name, weight, probs in rows
    ]


def _compute(paired: PairedScores, probs: np.ndarray) -> dict[str, Any]:
    table = paired.videos.assign(
        unit="video", position=0, face=0, label=paired.labels, method="", fake_prob=probs,
        group=[f"{number}" for number in paired.clusters.number],
    )  # fmt: skip
    found = compute(table[np.isfinite(probs)])
    return {name: found[name] for name in (*SHOWN, "video_auc_ci")}


def fuse_tables(fusion: Fusion, split: str | None, index: pd.DataFrame | None) -> pd.DataFrame:
    """Returns the combined predictions of the tables of a fusion, joined by data set and id.

    Args:
        fusion: Fusion whose members are tables.
        split: Split whose rows are combined, or `all`; None for `test`.
        index: Index of the videos, or None.

    Raises:
        UsageError: A table has changed since the fusion was made, or the rule was fitted to videos
            of the split.
    """
    for member in fusion.members:
        if not member.source.is_file() or hash_file(member.source) != member.sha256:
            raise FileError(
                f"{member.source} is missing or has changed since {fusion.path} was written"
            )
    paths = [member.source for member in fusion.members]
    names = [member.name for member in fusion.members]
    paired = pair_scores(paths, split=split or "test", index=index, names=names)
    fusion.check_unseen(paired.videos)
    first = choose_split(read_predictions(paths[:1], index).predictions, split).rows
    methods = first.drop_duplicates(VIDEO).set_index(VIDEO)[["method", "split"]]
    table = paired.videos.join(methods, on=VIDEO).fillna({"method": "unknown", "split": "none"})
    return table.assign(label=paired.labels, fake_prob=fusion.rule(paired.probs))
