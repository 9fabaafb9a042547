"""Signs that an evaluation is broken, each a small rule: evidence in, a flag or nothing out.

Good-looking numbers with no information behind them have signatures: they are cheap to check and
the field keeps publishing without checking them. Severity `error` is for what makes the numbers
wrong (leaks, rows that do not count, pooled videos, swapped labels); `warning` for numbers that are
right but say little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, TypedDict

import numpy as np
import pandas as pd

from dfjax.evaluation.aggregation import KEY, VIDEO
from dfjax.evaluation.clusters import VIDEOS, Clusters, describe_clusters

INVERTED = 0.35  # video AUC below which chance or a weak detector is no explanation
CONSTANT = 1e-6  # spread of scores below which a detector says the same of everything
CHANCE = 1.645  # standard errors: what one in twenty tables of chance exceeds on one side
FEW_CLUSTERS = 10  # below, percentile intervals of clusters are known to be too narrow
FEW, ENOUGH = 10, 20  # videos: no rule on accuracy or precision below, only a strict one between


class Flag(TypedDict):
    """One finding: `severity` is `info`, `warning` or `error`; `ids` are the videos concerned."""

    code: str
    severity: str
    message: str
    ids: list[str]


@dataclass(frozen=True)
class Evidence:
    """All that rules may look at.

    Attributes:
        predictions: the table as read, uncleaned.
        videos: one row per video with its score (`aggregation.aggregate`).
        metrics: `metrics.compute` of the table.
        clusters: What the intervals are drawn from, or None.
        index: index rows of the evaluated videos, or None when no index is known.
        train_index: index rows of the training videos, or None.
        history: `history.csv` of the run, or None.
        accepted: by column, what lies in several splits of the training data and was accepted.
    """

    predictions: pd.DataFrame
    videos: pd.DataFrame
    metrics: dict[str, float | list[float] | None]
    clusters: Clusters | None = None
    index: pd.DataFrame | None = None
    train_index: pd.DataFrame | None = None
    history: pd.DataFrame | None = None
    accepted: Mapping[str, Set[str]] = field(default_factory=dict)


def make_flag(code: str, severity: str, message: str, ids: Iterable[str] = ()) -> Flag:
    """Returns a flag, its ids sorted and each once."""
    return Flag(code=code, severity=severity, message=message, ids=sorted(set(ids)))


def check(evidence: Evidence) -> list[Flag]:
    """Returns the flags of every rule in `RULES` that fires."""
    found = (rule(evidence) for rule in RULES)
    return [flag for flag in found if flag is not None]


def non_finite(evidence: Evidence) -> Flag | None:
    """Fires on scores that are NaN or infinite; those rows are left out of every metric."""
    bad = evidence.predictions[~np.isfinite(evidence.predictions["fake_prob"])]
    if not len(bad):
        return None
    message = f"{len(bad)} rows have no finite score and are left out"
    return make_flag("non_finite", "error", message, bad["video_id"])


def duplicate_keys(evidence: Evidence) -> Flag | None:
    """Fires when a (dataset, video_id, unit, position, face) is scored twice; the first counts."""
    bad = evidence.predictions[evidence.predictions.duplicated(KEY)]
    if not len(bad):
        return None
    message = f"{len(bad)} rows repeat the key of an earlier row and are left out"
    return make_flag("duplicate_keys", "error", message, bad["video_id"])


def one_id_many_methods(evidence: Evidence) -> Flag | None:
    """Fires when one id stands for videos of several manipulations, which pools their scores."""
    counts = evidence.predictions.groupby(VIDEO)["method"].nunique()
    ids = counts[counts > 1].index.get_level_values("video_id")
    if not len(ids):
        return None
    message = f"{len(ids)} video ids name several manipulations: their scores would be averaged"
    return make_flag("one_id_many_methods", "error", message, ids)


def class_missing(evidence: Evidence) -> Flag | None:
    """Fires when there are no reals or no fakes: nothing that ranks them is defined."""
    labels = set(evidence.videos["label"])
    missing = [name for name, label in (("real", 0), ("fake", 1)) if label not in labels]
    if not missing:
        return None
    message = f"no {' and no '.join(missing)} videos: AUC, AP and EER are undefined"
    return make_flag("class_missing", "warning", message)


def constant(evidence: Evidence) -> Flag | None:
    """Fires when every video gets the same score."""
    scores = evidence.videos["fake_prob"]
    if len(scores) < 2 or np.ptp(scores) > CONSTANT:
        return None
    return make_flag("constant_predictions", "warning", f"every video scores {scores.iloc[0]:.6f}")


def inverted(evidence: Evidence) -> Flag | None:
    """Fires on AUC below 0.35 and 1.645 standard errors of chance (Mann-Whitney) below 0.5."""
    auc = evidence.metrics.get("video_auc")
    if not isinstance(auc, float):
        return None
    if auc >= INVERTED or 0.5 - auc <= CHANCE * _chance_error(evidence.videos):
        return None
    message = f"video AUC {auc:.3f}: reals score above fakes; are the labels fake = 1?"
    return make_flag("inverted_predictions", "error", message)


def accuracy_without_ranking(evidence: Evidence) -> Flag | None:
    """Fires on accuracy ≥ 0.75 with AUC near 0.5: the majority class was called.

    Near is within 0.05, or within 1.645 standard errors of chance but never more than 0.1: ten
    reals among two hundred videos move the AUC of chance as far as that.
    """
    auc, accuracy = evidence.metrics.get("video_auc"), evidence.metrics.get("accuracy")
    if not isinstance(auc, float) or not isinstance(accuracy, float):
        return None
    near = min(0.1, max(0.05, CHANCE * _chance_error(evidence.videos)))
    if accuracy < 0.75 or abs(auc - 0.5) > near or len(evidence.videos) < FEW:
        return None
    message = f"accuracy {accuracy:.3f} but video AUC {auc:.3f}: it only follows the class balance"
    return make_flag("accuracy_without_ranking", "warning", message)


def precision_is_prior(evidence: Evidence) -> Flag | None:
    """Fires when what is called real, and what is called fake, holds each class as all videos do.

    That is what scores joined to the labels of other videos look like. A share is taken for the
    prior when it differs by less than 0.03; or, of `ENOUGH` videos on, 1.645 standard errors.
    """
    fake = evidence.videos["label"].to_numpy() == 1
    called = evidence.videos["fake_prob"].to_numpy() >= 0.5
    fewest = min(called.sum(), (~called).sum())
    if fewest < FEW // 2 or len(fake) < FEW or fake.all() or not fake.any():
        return None
    prior = fake.mean()
    precision, among_real = fake[called].mean(), fake[~called].mean()
    for share, n in ((precision, called.sum()), (among_real, (~called).sum())):
        noise = CHANCE * np.sqrt(prior * (1 - prior) / n) if fewest >= ENOUGH else 0.0
        if abs(share - prior) > max(0.03, noise):
            return None
    message = (
        f"of those called fake {precision:.3f} are fake, of those called real {among_real:.3f},"
        f" of all {prior:.3f}: the scores know nothing, or belong to other rows"
    )
    return make_flag("precision_is_prior", "warning", message)


def few_clusters(evidence: Evidence) -> Flag | None:
    """Fires when intervals are drawn from fewer than 10 groups, recordings or persons."""
    clusters = evidence.clusters
    if clusters is None or clusters.kind == VIDEOS or clusters.count >= FEW_CLUSTERS:
        return None
    few = describe_clusters(clusters.kind, clusters.count)
    message = f"intervals rest on only {few}: they are likely too narrow"
    return make_flag("few_clusters", "warning", message)


def not_in_index(evidence: Evidence) -> Flag | None:
    """Fires on videos that the index does not have: nothing is known of who is in them."""
    if evidence.index is None:
        return None
    scored = evidence.predictions["video_id"].drop_duplicates()
    ids = scored[~scored.isin(evidence.index["video_id"])]
    if not len(ids):
        return None
    message = f"{len(ids)} videos are not in the index: whether they leak cannot be checked"
    return make_flag("not_in_index", "warning", message, ids)


def labels_differ(evidence: Evidence) -> Flag | None:
    """Fires where a table says real and the index says fake of the same video, or the reverse."""
    if evidence.index is None:
        return None
    truth = evidence.videos["video_id"].map(evidence.index.set_index("video_id")["label"])
    ids = evidence.videos["video_id"][truth.notna() & (truth != evidence.videos["label"])]
    if not len(ids):
        return None
    message = f"{len(ids)} videos have another label than in the index"
    return make_flag("labels_differ", "error", message, ids)


def identity_in_training(evidence: Evidence) -> Flag | None:
    """Fires when a person of an evaluated video is also in a training video."""
    return _find_leak(
        evidence,
        "identity_in_training",
        ("identities",),
        "videos show people that are also in the training videos",
    )


def video_in_training(evidence: Evidence) -> Flag | None:
    """Fires when an evaluated video, or one of its group or recording, is a training video."""
    return _find_leak(
        evidence,
        "video_in_training",
        ("video_id", "group", "origin_id"),
        "videos, or others of their group or recording, were trained on",
    )


def early_perfect(evidence: Evidence) -> Flag | None:
    """Fires when validation AUC was ≥ 0.99 within the first two epochs: a leak or a shortcut."""
    message = "" if evidence.history is None else find_early_perfect(evidence.history)
    return make_flag("early_perfect_validation", "warning", message) if message else None


def find_early_perfect(history: pd.DataFrame) -> str:
    """Returns what is suspicious about the first two epochs of `history.csv`, or nothing."""
    if "val_video_auc" not in history:
        return ""
    early = history.sort_values("epoch").head(2)
    best = early["val_video_auc"].max()
    if not best >= 0.99:
        return ""
    return f"validation AUC reached {best:.3f} within {len(early)} epochs: look for a shortcut"


def _chance_error(videos: pd.DataFrame) -> float:
    fakes = int((videos["label"] == 1).sum())
    reals = len(videos) - fakes
    return float(np.sqrt((fakes + reals + 1) / (12 * fakes * reals)))


def _find_leak(evidence: Evidence, code: str, columns: tuple[str, ...], what: str) -> Flag | None:
    """An error, unless training had to accept all of these links, or training videos are scored.

    Scoring the training split itself is no leak, but must not be mistaken for a test.
    """
    index, train = evidence.index, evidence.train_index
    if index is None or train is None:
        return None
    leaks, new = np.zeros(len(index), bool), False
    for column in columns:
        trained = {value for entry in train[column] for value in _values(entry)}
        shared = [trained.intersection(_values(entry)) for entry in index[column]]
        leaks |= np.array([bool(values) for values in shared], bool)
        new |= bool(set().union(*shared) - evidence.accepted.get(column, frozenset()))
    if not leaks.any():
        return None
    severity = "error" if new else "warning"
    if set(evidence.predictions["split"]) == {"train"}:
        severity = "info"
    note = "" if new else ", as accepted when training"
    return make_flag(code, severity, f"{leaks.sum()} {what}{note}", index["video_id"][leaks])


def _values(entry: Any) -> list[str]:
    """The entries of a list, or the one value there is; nulls are none."""
    if isinstance(entry, list | tuple | np.ndarray):
        return list(entry)
    return [entry] if isinstance(entry, str) else []


Rule = Callable[[Evidence], Flag | None]
RULES: tuple[Rule, ...] = (
    non_finite,
    duplicate_keys,
    one_id_many_methods,
    class_missing,
    constant,
    inverted,
    accuracy_without_ranking,
    precision_is_prior,
    few_clusters,
    not_in_index,
    labels_differ,
    identity_in_training,
    video_in_training,
    early_perfect,
)
