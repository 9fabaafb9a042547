"""Rules on the predictions alone: unusable rows and uninformative metrics."""

import numpy as np
import pandas as pd

from dfjax.evaluation.flags.constancy import (
    NAMES,
    describe_constant_scores,
    describe_constant_verdicts,
)
from dfjax.evaluation.flags.evidence import Evidence, Flag, describe_rows, make_flag
from dfjax.evaluation.videos.aggregation import find_repeated, number_videos
from dfjax.evaluation.videos.clusters import VIDEOS, describe_clusters
from dfjax.evaluation.videos.cuts import SHOWN, WITH_INTERVALS, count_groups, count_measured

INVERTED = 0.4  # video AUC below which a weak detector is no explanation
CHANCE = 1.645  # standard errors: one-sided 95 % quantile of the normal distribution
FEW_CLUSTERS = 10  # with fewer clusters, percentile intervals are known to be too narrow
FEW, ENOUGH = 10, 20  # videos: no rules of accuracy or precision below FEW, strict below ENOUGH


def non_finite(evidence: Evidence) -> Flag | None:
    """Flags scores that are NaN or infinite; these rows are left out of every metric."""
    wrong = ~np.isfinite(evidence.predictions["fake_prob"])
    bad = evidence.predictions[wrong]
    if not len(bad):
        return None
    message = f"{len(bad)} rows have no finite score and are left out ({describe_rows(wrong)})"
    return make_flag("non_finite", "error", message, bad["video_id"])


def duplicate_keys(evidence: Evidence) -> Flag | None:
    """Flags repeated keys (dataset, video_id, unit, position, face); the first row is used."""
    repeated = np.asarray(find_repeated(evidence.predictions))
    bad = evidence.predictions[repeated]
    if not len(bad):
        return None
    message = (
        f"{len(bad)} rows repeat the key of an earlier row and are left out "
        f"({describe_rows(repeated)})"
    )
    return make_flag("duplicate_keys", "error", message, bad["video_id"])


def one_id_many_methods(evidence: Evidence) -> Flag | None:
    """Flags ids that videos of several manipulations share, whose scores would be averaged."""
    video, videos = number_videos(evidence.predictions)
    methods = pd.factorize(evidence.predictions["method"])[0]
    pairs = pd.DataFrame({"video": video, "method": methods}).drop_duplicates()
    ids = videos["video_id"][np.bincount(pairs["video"], minlength=len(videos)) > 1]
    if not len(ids):
        return None
    message = f"{len(ids)} video ids have rows of several manipulations, whose scores are averaged"
    return make_flag("one_id_many_methods", "error", message, ids)


def many_groups(evidence: Evidence) -> Flag | None:
    """Says what is left out if there are very many data sets and manipulations."""
    groups = count_groups(evidence.predictions)
    if groups <= WITH_INTERVALS:
        return None
    message = (
        f"{groups:,} data sets and manipulations: only the metrics of all videos have intervals, "
        f"tables show the {SHOWN} largest groups"
    )
    most = count_measured(len(evidence.videos))
    if groups > most:
        message += f", and at most {most:,} of each kind are measured, of which macro is the mean"
    return make_flag("many_groups", "info", message)


def class_missing(evidence: Evidence) -> Flag | None:
    """Flags a table without reals or without fakes, for which AUC, AP and EER are undefined."""
    labels = set(evidence.videos["label"])
    missing = [name for name, label in (("real", 0), ("fake", 1)) if label not in labels]
    if not missing:
        return None
    message = f"no {' and no '.join(missing)} videos: AUC, AP and EER are undefined"
    return make_flag("class_missing", "warning", message)


def constant(evidence: Evidence) -> Flag | None:
    """Flags scores without spread, or verdicts that are nearly all the same (`constancy`).

    The severity is `warning` because the AUC is still right, although accuracy, F1 and recall are
    uninformative. Verdicts are only checked with 10 videos or more.
    """
    if found := describe_constant_scores(evidence.videos):
        message = f"{found}: the detector is (nearly) constant"
        return make_flag("constant_predictions", "warning", message)
    if len(evidence.videos) < FEW or not (found := describe_constant_verdicts(evidence.videos)):
        return None
    message = f"{found}: verdicts at 0.5 are (nearly) constant, although scores differ"
    return make_flag("constant_predictions", "warning", message)


def decisions_only(evidence: Evidence) -> Flag | None:
    """Flags videos whose scores are all 0 or 1, which are decisions rather than scores."""
    scores = evidence.videos["fake_prob"]
    if len(scores) < FEW or not scores.isin((0.0, 1.0)).all():
        return None
    message = "all scores are 0 or 1: they are decisions, and AUC, AP and EER are of one threshold"
    return make_flag("decisions_only", "warning", message)


def inverted(evidence: Evidence) -> Flag | None:
    """Flags an AUC below 0.4 that is also 1.645 standard errors (Mann-Whitney) below 0.5."""
    auc = evidence.metrics.get("video_auc")
    if not isinstance(auc, float):
        return None
    if auc >= INVERTED or 0.5 - auc <= CHANCE * _chance_error(evidence.videos):
        return None
    message = f"video AUC {auc:.3f}: reals score higher than fakes; check that fake is 1"
    return make_flag("inverted_predictions", "error", message)


def accuracy_without_ranking(evidence: Evidence) -> Flag | None:
    """Flags accuracy ≥ 0.75 with an AUC near 0.5: verdicts that follow the majority class.

    Near means within 1.645 standard errors of the AUC of random scores, but at least 0.05 and at
    most 0.1, which is reached with ten reals among two hundred videos.
    """
    auc, accuracy = evidence.metrics.get("video_auc"), evidence.metrics.get("accuracy")
    if not isinstance(auc, float) or not isinstance(accuracy, float):
        return None
    near = min(0.1, max(0.05, CHANCE * _chance_error(evidence.videos)))
    if accuracy < 0.75 or abs(auc - 0.5) > near or len(evidence.videos) < FEW:
        return None
    message = f"accuracy {accuracy:.3f} but video AUC {auc:.3f}: verdicts follow the class balance"
    return make_flag("accuracy_without_ranking", "warning", message)


def precision_is_prior(evidence: Evidence) -> Flag | None:
    """Flags verdicts whose share of fakes is that of all videos, for both verdicts.

    This happens when scores are joined with the labels of other videos. Shares are equal if they
    differ by less than 0.03 or, with `ENOUGH` videos of each verdict, by less than 1.645 standard
    errors.
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
        f"the share of fakes is {precision:.3f} among videos classified as fake, {among_real:.3f} "
        f"among those classified as real and {prior:.3f} among all: verdicts at 0.5 are "
        "uninformative, or the scores belong to other rows"
    )
    return make_flag("precision_is_prior", "warning", message)


def few_videos(evidence: Evidence) -> Flag | None:
    """Flags a class with one video, of which AUC and its interval say next to nothing."""
    counts = evidence.videos["label"].value_counts()
    if len(counts) < 2 or counts.min() > 1:
        return None
    name = NAMES[int(counts.idxmin())]
    message = f"only one of {counts.sum()} videos is {name}: AUC and its interval say nothing"
    return make_flag("few_videos", "warning", message)


def few_clusters(evidence: Evidence) -> Flag | None:
    """Flags intervals from fewer than 10 groups, recordings or persons."""
    clusters = evidence.clusters
    if clusters is None or clusters.kind == VIDEOS or clusters.count >= FEW_CLUSTERS:
        return None
    few = describe_clusters(clusters.kind, clusters.count)
    message = f"intervals are computed from only {few} and are probably too narrow"
    return make_flag("few_clusters", "warning", message)


def _chance_error(videos: pd.DataFrame) -> float:
    fakes = int((videos["label"] == 1).sum())
    reals = len(videos) - fakes
    return float(np.sqrt((fakes + reals + 1) / (12 * fakes * reals)))
