"""Rules that compare the evaluated videos with the index, the training videos and the run."""

from typing import Any

import numpy as np
import pandas as pd

from dfjax.evaluation.flags.evidence import Evidence, Flag, make_flag


def not_in_index(evidence: Evidence) -> Flag | None:
    """Flags videos that are not in the index, for which leaks cannot be checked."""
    if evidence.index is None:
        return None
    scored = evidence.predictions["video_id"].drop_duplicates()
    ids = scored[~scored.isin(evidence.index["video_id"])]
    if not len(ids):
        return None
    message = f"{len(ids)} videos are not in the index, so they cannot be checked for leaks"
    return make_flag("not_in_index", "warning", message, ids)


def labels_differ(evidence: Evidence) -> Flag | None:
    """Flags videos whose label differs from that of the index."""
    if evidence.index is None:
        return None
    truth = evidence.videos["video_id"].map(evidence.index.set_index("video_id")["label"])
    ids = evidence.videos["video_id"][truth.notna() & (truth != evidence.videos["label"])]
    if not len(ids):
        return None
    message = f"{len(ids)} videos have another label than in the index"
    return make_flag("labels_differ", "error", message, ids)


def identity_in_training(evidence: Evidence) -> Flag | None:
    """Flags evaluated videos that show a person who is also in a training video."""
    return _find_leak(
        evidence,
        "identity_in_training",
        ("identities",),
        "videos show people that are also in the training videos",
    )


def video_in_training(evidence: Evidence) -> Flag | None:
    """Flags evaluated videos whose id, group or recording is in the training data."""
    return _find_leak(
        evidence,
        "video_in_training",
        ("video_id", "group", "origin_id"),
        "videos, or others of their group or recording, were trained on",
    )


def early_perfect(evidence: Evidence) -> Flag | None:
    """Flags a validation AUC ≥ 0.99 within the first two epochs, a sign of a leak or shortcut."""
    message = "" if evidence.history is None else find_early_perfect(evidence.history)
    return make_flag("early_perfect_validation", "warning", message) if message else None


def find_early_perfect(history: pd.DataFrame) -> str:
    """Returns a message if the AUC of the first two epochs is suspiciously high, else ""."""
    if "val_video_auc" not in history:
        return ""
    early = history.sort_values("epoch").head(2)
    best = early["val_video_auc"].max()
    if not best >= 0.99:
        return ""
    return f"validation AUC reached {best:.3f} within {len(early)} epochs: look for a shortcut"


def _find_leak(evidence: Evidence, code: str, columns: tuple[str, ...], what: str) -> Flag | None:
    """Returns a flag for videos that share a value of `columns` with the training videos.

    Its severity is `error`; `warning` if all shared values were accepted for training; `info` if
    the training split itself is evaluated.
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
    """Returns the entries of a list, or a single value as a list; an empty list for null."""
    if isinstance(entry, list | tuple | np.ndarray):
        return list(entry)
    return [entry] if isinstance(entry, str) else []
