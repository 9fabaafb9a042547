"""Rules that find problems of an evaluation. A rule takes `Evidence` and returns a flag or None.

The severity `error` is for problems that make the metrics wrong: leaks, unusable rows, videos
pooled under one id, swapped labels. `warning` is for metrics that are right but uninformative, and
`info` for other facts that a reader should know.
"""

from collections.abc import Callable, Iterable

from dfjax.evaluation.flags import leaks, scores
from dfjax.evaluation.flags.evidence import Evidence, Flag, describe_rows, make_flag

__all__ = ["RULES", "Evidence", "Flag", "check", "describe_rows", "make_flag", "sort_flags"]

SEVERITIES = ("error", "warning", "info")


def sort_flags(flags: Iterable[Flag]) -> list[Flag]:
    """Returns flags with errors first, then warnings; of one severity in their order."""
    return sorted(flags, key=lambda flag: SEVERITIES.index(flag["severity"]))


def check(evidence: Evidence) -> list[Flag]:
    """Returns the flags of all rules in `RULES` that apply."""
    found = (rule(evidence) for rule in RULES)
    return [flag for flag in found if flag is not None]


RULES: tuple[Callable[[Evidence], Flag | None], ...] = (
    scores.non_finite,
    scores.duplicate_keys,
    scores.one_id_many_methods,
    scores.many_groups,
    scores.class_missing,
    scores.few_videos,
    scores.constant,
    scores.decisions_only,
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
