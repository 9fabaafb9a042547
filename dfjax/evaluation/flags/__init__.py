"""Signs that an evaluation is broken, each a small rule: evidence in, a flag or nothing out.

Good-looking numbers with no information behind them have signatures: they are cheap to check and
the field keeps publishing without checking them. Severity `error` is for what makes the numbers
wrong (leaks, rows that do not count, pooled videos, swapped labels); `warning` for numbers that are
right but say little.
"""

from collections.abc import Callable

from dfjax.evaluation.flags import leaks, scores
from dfjax.evaluation.flags.evidence import Evidence, Flag, make_flag

__all__ = ["RULES", "Evidence", "Flag", "check", "make_flag"]


def check(evidence: Evidence) -> list[Flag]:
    """Returns the flags of every rule in `RULES` that fires."""
    found = (rule(evidence) for rule in RULES)
    return [flag for flag in found if flag is not None]


RULES: tuple[Callable[[Evidence], Flag | None], ...] = (
    scores.non_finite,
    scores.duplicate_keys,
    scores.one_id_many_methods,
    scores.class_missing,
    scores.constant,
    scores.inverted,
    scores.accuracy_without_ranking,
    scores.precision_is_prior,
    scores.few_clusters,
    leaks.not_in_index,
    leaks.labels_differ,
    leaks.identity_in_training,
    leaks.video_in_training,
    leaks.early_perfect,
)
