"""The shortcut probe measures whether the classes can be separated without looking at faces.

A gradient-boosted model gets only file metadata and global image statistics. If it can rank videos
of held-out groups, a detector trained on these data can learn the same shortcut.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from dfjax import FAKE
from dfjax.data.index.audit.balance import count_classes
from dfjax.data.index.audit.findings import ENOUGH, Evidence, Finding, Rule, make_finding
from dfjax.data.index.audit.properties import CATEGORIES, PROPERTIES, measure_auc

WARN, FAIL = 0.6, 0.75  # AUC from which the finding is a warning, and an error
FOLDS = 5
LARGE = 20_000  # videos; larger data sets are sampled
REPEATS = 3  # permutations per property
IMPORTANT = 0.02  # loss of AUC above which the finding names a property
SEED = 0


@dataclasses.dataclass(frozen=True)
class Probe:
    """Result of the shortcut probe.

    Attributes:
        auc: AUC over all held-out videos, or None if the probe was not run.
        error: Standard error of the AUC of a random ranking of that many videos.
        importance: Loss of AUC when a property is permuted among held-out videos, largest first.
        note: Reason why the probe was not run, or an empty string.
    """

    auc: float | None
    error: float = 0.0
    importance: dict[str, float] = dataclasses.field(default_factory=dict)
    note: str = ""


def run_probe(evidence: Evidence) -> Probe:
    """Returns the cross-validated AUC of the properties alone, and their permutation importance.

    Folds keep each `group` whole, so that recognising people does not help. Scores are replaced by
    their ranks within a fold before folds are pooled.
    """
    fewest = min(count_classes(evidence.index).values())
    if fewest < ENOUGH:
        return Probe(None, note=f"it needs {ENOUGH} videos of each class, not {fewest}")
    rows = _sample(len(evidence.index))
    features = encode(evidence.properties.iloc[rows].reset_index(drop=True))
    if not features.shape[1]:
        return Probe(None, note="all known properties are equal for all videos")
    label = evidence.index["label"].to_numpy()[rows] == FAKE
    group = pd.factorize(evidence.index["group"])[0][rows]
    folds = min(FOLDS, *(len(np.unique(group[label == kind])) for kind in (False, True)))
    if folds < 2:
        return Probe(None, note="all videos of a class are one group")
    with threadpool_limits(1):  # OpenMP threads spin while waiting, which stalls on busy cores
        score, shuffled = _cross_validate(features, label, group, folds)
    auc = measure_auc(score[~label], score[label])
    drop = {n: auc - measure_auc(s[~label], s[label]) for n, s in shuffled.items()}
    n_fake, n_real = int(label.sum()), int((~label).sum())
    return Probe(
        auc,
        error=float(np.sqrt((n_fake + n_real + 1) / (12 * n_fake * n_real))),
        importance=dict(sorted(drop.items(), key=lambda item: -item[1])),
    )


def _cross_validate(
    features: pd.DataFrame, label: np.ndarray, group: np.ndarray, folds: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Returns the scores of held-out videos, and their scores with each property permuted."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    values = features.to_numpy(np.float64)
    score = np.zeros(len(values))
    shuffled = {name: np.zeros(len(values)) for name in features}
    rng = np.random.default_rng(SEED)
    for train, test in _make_folds(label, group, folds):
        model = HistGradientBoostingClassifier(
            max_iter=60,
            learning_rate=0.05,
            max_leaf_nodes=6,
            min_samples_leaf=10,
            l2_regularization=1.0,
            random_state=SEED,
        )  # few leaves and a low learning rate: with 40 videos, larger models overfit
        model.fit(values[train], label[train])
        score[test] = _rank(model.predict_proba(values[test])[:, 1])
        for column, name in enumerate(features):
            shuffled[name][test] = _rank(_predict_shuffled(model, values[test], column, rng))
    return score, shuffled


def make_rule(probe: Probe) -> Rule:
    """Returns the rule that reports the result of the probe."""

    def shortcut(evidence: Evidence) -> Iterable[Finding]:
        """Yields a warning on an AUC above 0.6, and an error above 0.75, if it is significant."""
        if probe.auc is None:
            message = f"the shortcut probe was not run: {probe.note}"
            yield make_finding("shortcut_probe_not_run", "info", message)
            return
        if probe.auc <= WARN or probe.auc - 0.5 <= 2 * probe.error:
            return
        important = [name for name, loss in probe.importance.items() if loss > IMPORTANT][:3]
        important = important or list(probe.importance)[:1]
        named = ", ".join(f"{name} ({PROPERTIES[name].title})" for name in important)
        remedies = "; ".join(dict.fromkeys(PROPERTIES[name].remedy for name in important))
        message = (
            "a model without access to the faces separates the classes with AUC "
            f"{probe.auc:.3f}, mainly by {named}: {remedies}"
        )
        severity = "error" if probe.auc > FAIL else "warning"
        yield make_finding("shortcut_probe", severity, message, figure="shortcut_probe")

    return shortcut


def encode(properties: pd.DataFrame) -> pd.DataFrame:
    """Returns the properties as numbers, without those that are equal for all videos."""
    table = properties.copy()
    for name in CATEGORIES:
        codes = pd.factorize(table[name], sort=True)[0].astype(np.float64)
        table[name] = np.where(codes < 0, np.nan, codes)
    varying = [name for name in table if table[name].nunique(dropna=False) > 1]
    return table[varying]


def _make_folds(label: np.ndarray, group: np.ndarray, folds: int) -> Iterable[Any]:
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=SEED)
    for train, test in splitter.split(label, label, group):
        if len(np.unique(label[train])) == 2:
            yield train, test


def _predict_shuffled(
    model: Any, values: np.ndarray, column: int, rng: np.random.Generator
) -> np.ndarray:
    total = np.zeros(len(values))
    for _ in range(REPEATS):
        changed = values.copy()
        changed[:, column] = rng.permutation(changed[:, column])
        total += model.predict_proba(changed)[:, 1]
    return total / REPEATS


def _rank(score: np.ndarray) -> np.ndarray:
    """Returns ranks in (0, 1). The scores of different folds' models are not comparable."""
    from scipy.stats import rankdata

    return rankdata(score) / (len(score) + 1)


def _sample(n: int) -> np.ndarray:
    if n <= LARGE:
        return np.arange(n)
    return np.sort(np.random.default_rng(SEED).choice(n, LARGE, replace=False))
