"""The shortcut probe: can the classes be told without looking at a single face?

A gradient-boosted model sees file metadata and global statistics only. If it ranks held-out videos
of groups that it never saw, a detector trained on these data will find the same shortcut.
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

WARN, FAIL = 0.6, 0.75
FOLDS = 5
LARGE = 20_000  # videos beyond which a sample is as good
REPEATS = 3
TELLING = 0.02  # loss of AUC from which a property is named
SEED = 0


@dataclasses.dataclass(frozen=True)
class Probe:
    """What the probe found, or why it was not run.

    Attributes:
        auc: over all held-out videos; None when it was not run.
        error: standard error of an AUC by chance, for that many videos.
        importance: loss of AUC when a property is shuffled among held-out videos, largest first.
        note: why it was not run.
    """

    auc: float | None
    error: float = 0.0
    importance: dict[str, float] = dataclasses.field(default_factory=dict)
    note: str = ""


def run_probe(evidence: Evidence) -> Probe:
    """Returns the cross-validated AUC of the properties alone, and which of them carry it.

    Folds never cut a `group`, so that people are not recognised. Scores are ranked within a fold
    before they are pooled.
    """
    fewest = min(count_classes(evidence.index).values())
    if fewest < ENOUGH:
        return Probe(None, note=f"it needs {ENOUGH} videos of each class, not {fewest}")
    rows = _sample(len(evidence.index))
    features = encode(evidence.properties.iloc[rows].reset_index(drop=True))
    if not features.shape[1]:
        return Probe(None, note="no property is known that differs between videos")
    label = evidence.index["label"].to_numpy()[rows] == FAKE
    group = pd.factorize(evidence.index["group"])[0][rows]
    folds = min(FOLDS, *(len(np.unique(group[label == kind])) for kind in (False, True)))
    if folds < 2:
        return Probe(None, note="all videos of a class are one group")
    with threadpool_limits(1):  # its threads wait actively for one another, on busy cores for ever
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
    """Scores of held-out videos, as they are and with each property shuffled."""
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
        )  # small and slow: with 40 videos a larger one learns them by heart and sees less
        model.fit(values[train], label[train])
        score[test] = _rank(model.predict_proba(values[test])[:, 1])
        for column, name in enumerate(features):
            shuffled[name][test] = _rank(_predict_shuffled(model, values[test], column, rng))
    return score, shuffled


def make_rule(probe: Probe) -> Rule:
    """Returns the rule that turns the probe's result into a finding."""

    def shortcut(evidence: Evidence) -> Iterable[Finding]:
        """Fires on AUC above 0.6 (warning) and 0.75 (error), beyond chance."""
        if probe.auc is None:
            message = f"the shortcut probe was not run: {probe.note}"
            yield make_finding("shortcut_probe_not_run", "info", message)
            return
        if probe.auc <= WARN or probe.auc - 0.5 <= 2 * probe.error:
            return
        telling = [name for name, loss in probe.importance.items() if loss > TELLING][:3]
        telling = telling or list(probe.importance)[:1]
        named = ", ".join(f"{name} ({PROPERTIES[name].title})" for name in telling)
        remedies = "; ".join(dict.fromkeys(PROPERTIES[name].remedy for name in telling))
        message = (
            f"without a look at the faces real and fake are told apart with AUC {probe.auc:.3f}, "
            f"given away by {named}: {remedies}"
        )
        severity = "error" if probe.auc > FAIL else "warning"
        yield make_finding("shortcut_probe", severity, message, figure="shortcut_probe")

    return shortcut


def encode(properties: pd.DataFrame) -> pd.DataFrame:
    """Returns the properties as numbers, without those that are the same for all videos."""
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
    """Ranks in (0, 1): folds have models of their own, whose scores need not be comparable."""
    from scipy.stats import rankdata

    return rankdata(score) / (len(score) + 1)


def _sample(n: int) -> np.ndarray:
    if n <= LARGE:
        return np.arange(n)
    return np.sort(np.random.default_rng(SEED).choice(n, LARGE, replace=False))
