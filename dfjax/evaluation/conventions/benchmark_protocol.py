"""DeepfakeBench's conventions (`deepfakebench-compat`), so that its tables can be matched.

They differ from the strict protocol in what follows; each makes numbers that the strict protocol
would call wrong, and is named in a flag where it has an effect.

- Accuracy, AP and EER are those of single frames (or clips), and the EER is not interpolated.
- The frames of all videos with one folder name are one video: FaceForensics++ has a `000_003` for
  each of four manipulations. The video AUC of clip detectors is the AUC of clips.
- A frame that could not be read counts with the score and the label of the first frame.
- `acc_real` and `acc_fake` take the first rows for the reals, in whatever order the rows are.
- Of the frames of a video the first N are used, where N is given.
- A score of exactly 0.5 is called real; rows that repeat a key are counted.
- Of several checkpoints the best on the test set is reported for each test set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from dfjax.errors import UsageError, unknown
from dfjax.evaluation.conventions.convention import METRICS, Convention
from dfjax.evaluation.conventions.protocol_names import COMPAT, PROTOCOLS, STRICT
from dfjax.evaluation.conventions.scored_rows import Scored
from dfjax.evaluation.flags import Flag, make_flag, sort_flags
from dfjax.evaluation.metrics import Metrics, macro_mean
from dfjax.evaluation.statistics.class_scores import THRESHOLD
from dfjax.evaluation.videos.aggregation import UNITS, VIDEO, find_repeated, number_videos
from dfjax.evaluation.videos.cuts import OVERALL, Cuts, cut_tables, find_heldout, take_section

DESCRIPTION = (
    "deepfakebench-compat: accuracy, AP and EER of frames or clips, EER not interpolated; videos "
    "of one folder name are pooled; unreadable frames count as the first frame; no intervals; what "
    "the benchmark has no number for is left out (by_identity, recall_at_fpr, uncertainty)"
)
STRICT_ONLY = (
    *("by_identity", "recall_at_fpr", "val_threshold", "uncertainty", "guessed_methods"),
    *("resampled", "clusters"),
)
"""Entries of `metrics.json` that the benchmark has no numbers for."""
FRAME = Convention(unit="frame", failed="first", eer="nearest", half="real", repeated="keep")
VIDEO_AUC = replace(FRAME, unit="video", pooled=True)
"""The benchmark's conventions for frames, and for videos."""
UNDEFINED = (
    "the video AUC is undefined: frames without a score have the label of the first row of their "
    "data set, and the label of a video is the integer part of the mean of its frames, so that one "
    "class has no video left; the strict protocol leaves such frames out"
)


@dataclass(frozen=True)
class Numbers:
    """The protocol by which the numbers of a report are computed.

    Attributes:
        protocol: One of `PROTOCOLS`.
        first_frames: Number of frames of each video that the benchmark's protocol uses; None for
            all.
    """

    protocol: str = STRICT
    first_frames: int | None = None

    def __post_init__(self) -> None:
        """Checks the protocol."""
        if self.protocol not in PROTOCOLS:
            raise unknown("protocol", self.protocol, PROTOCOLS)
        if self.first_frames is not None and self.protocol == STRICT:
            raise UsageError(f"first_frames needs the protocol {COMPAT}: strict uses all frames")
        if self.first_frames is not None and self.first_frames < 1:
            raise UsageError(f"first_frames must be at least 1, not {self.first_frames}")

    def apply(
        self, strict: dict[str, Any], predictions: pd.DataFrame, heldout_methods: Sequence[str]
    ) -> dict[str, Any]:
        """Returns the content of `metrics.json` by this protocol.

        Args:
            strict: Content by the strict protocol.
            predictions: Rows in the order in which they were scored.
            heldout_methods: Manipulations held back from training.
        """
        if self.protocol == STRICT:
            return strict | {"protocol": f"{STRICT}: {strict['protocol']}"}
        return apply_benchmark_protocol(
            strict, predictions, heldout_methods, first=self.first_frames
        )


def select_rows(
    predictions: pd.DataFrame, heldout_methods: Sequence[str], first: int | None
) -> tuple[pd.DataFrame, str]:
    """Returns the rows that AP and EER are computed of (`label fake_prob`), and their unit.

    Args:
        predictions: Rows in the order in which they were scored.
        heldout_methods: Manipulations held back from training, whose rows are left out.
        first: Number of frames of each video that are used; None for all.
    """
    scored = Scored(predictions)
    seen = ~find_heldout(predictions, heldout_methods).to_numpy()
    scores, labels = scored.select("fake_prob", replace(FRAME, first=first), seen)
    return pd.DataFrame({"label": labels, "fake_prob": scores}), _find_unit(predictions)


def apply_benchmark_protocol(
    strict: Mapping[str, Any],
    predictions: pd.DataFrame,
    heldout_methods: Sequence[str] = (),
    *,
    first: int | None = None,
) -> dict[str, Any]:
    """Returns the content of `metrics.json` with the numbers of DeepfakeBench's conventions.

    `macro` and `macro_datasets` are the mean over data sets, and `strict` has the numbers of
    `overall` by the strict protocol under the same names.

    Args:
        strict: Content by the strict protocol.
        predictions: Rows in the order in which they were scored.
        heldout_methods: Manipulations held back from training.
        first: Number of frames of each video that are used; None for all.
    """
    unit, scored = _find_unit(predictions), Scored(predictions)
    cuts = _cut_rows(predictions, heldout_methods)
    measured = {cut: _measure(scored.restrict(mask), unit, first) for cut, mask in cuts.items()}
    overall = measured[OVERALL]
    sections = {
        section: {name: part[name] for name in strict[section] if name in part}
        for section in ("by_dataset", "by_method", "unseen_methods")
        for part in [take_section(measured, section)]
    }
    shared = {name: strict["overall"].get(name) for name in overall}
    macro = macro_mean(list(sections["by_dataset"].values()))
    failed = ~np.isfinite(predictions["fake_prob"].to_numpy())
    kept = ~failed & ((scored.place < first) if first else True)
    counts = {f"{one}s": int((kept & (predictions["unit"] == one)).sum()) for one in UNITS[1:]}
    # These rows are not left out here: another flag says what they count as.
    flags = [one for one in strict["flags"] if one["code"] not in ("non_finite", "duplicate_keys")]
    flags += _flag_differences(predictions, scored, unit, first)
    if failed.any() and overall["video_auc"] is None and shared["video_auc"] is not None:
        flags.append(make_flag("auc_undefined", "error", UNDEFINED))
    used = f"; the first {first} frames of each video" if first else ""
    return {
        **{name: one for name, one in strict.items() if name not in STRICT_ONLY},
        **sections,
        "overall": overall,
        "macro": macro,
        "macro_datasets": macro,
        "strict": shared,
        "flags": sort_flags(flags),
        "n": {**strict["n"], **counts},
        "protocol": DESCRIPTION + used,
    }


def _cut_rows(predictions: pd.DataFrame, heldout_methods: Sequence[str]) -> Cuts:
    """Returns the rows of `overall` and of each section; rows without a score have a video too."""
    video, videos = number_videos(predictions)
    first = ~pd.Series(video).duplicated().to_numpy()
    order = np.argsort(video[first])
    known = predictions.loc[first, ["label", "method"]].iloc[order].reset_index(drop=True)
    cuts = cut_tables(predictions, pd.concat([videos, known], axis=1), heldout_methods)
    return {name: mask[video] for name, mask in cuts.items()}


def _find_unit(predictions: pd.DataFrame) -> str:
    """Returns the finest unit of a table; scores of videos count as those of frames."""
    units = set(predictions["unit"])
    return "clip" if "clip" in units and "frame" not in units else "frame"


def _measure(scored: Scored, unit: str, first: int | None) -> Metrics:
    frame, video = replace(FRAME, first=first), replace(VIDEO_AUC, first=first)
    rows = {name: scored.measure(replace(frame, metric=name)) for name in METRICS}
    found = {
        "frame_auc": rows["auc"] if unit == "frame" else np.nan,
        "clip_auc": rows["auc"] if unit == "clip" else np.nan,
        "video_auc": rows["auc"] if unit == "clip" else scored.measure(video),
        **{name: rows[name] for name in METRICS if name != "auc"},
        **_split_accuracy(scored, frame),
    }
    return {name: float(one) if np.isfinite(one) else None for name, one in found.items()}


def _split_accuracy(scored: Scored, frame: Convention) -> dict[str, float]:
    """Returns accuracies of the first rows, as many as there are reals, and of the others."""
    scores, labels = scored.select("fake_prob", frame, scored.selected)
    right = (scores > THRESHOLD) == (labels == 1)
    reals = int((labels == 0).sum())
    parts = {"acc_real": right[:reals], "acc_fake": right[reals:]}
    return {name: float(part.mean()) if len(part) else np.nan for name, part in parts.items()}


def _flag_differences(
    predictions: pd.DataFrame, scored: Scored, unit: str, first: int | None
) -> list[Flag]:
    """Returns a flag for each convention that has an effect on these rows."""
    found: list[Flag] = []
    videos = predictions.drop_duplicates(VIDEO)
    folder = pd.Series(scored.folder).iloc[videos.index.to_numpy()]
    pooled = folder.duplicated(keep=False).to_numpy()
    if pooled.any() and unit == "frame":
        message = (
            f"{pooled.sum()} videos share the names of {folder[pooled].nunique()} folders and are "
            "pooled: their mean is more certain than each of them"
        )
        found.append(make_flag("pooled_folders", "warning", message, videos["video_id"][pooled]))
    if unit == "clip":
        message = "the video AUC is that of single clips, which are not aggregated"
        found.append(make_flag("clips_as_videos", "warning", message))
    failed = ~np.isfinite(predictions["fake_prob"].to_numpy())
    if failed.any():
        message = (
            f"{failed.sum()} rows without a score count with the score and the label of the first "
            "row of their data set"
        )
        ids = predictions["video_id"][failed]
        found.append(make_flag("failed_as_first", "error", message, ids))
    repeated = find_repeated(predictions)
    if repeated.any():
        message = f"{repeated.sum()} rows repeat the key of an earlier row, and are counted too"
        ids = predictions["video_id"][repeated]
        found.append(make_flag("duplicate_keys", "error", message, ids))
    left = int((scored.place >= first).sum()) if first else 0
    if left:
        message = f"{left:,} frames after the first {first} of each video are left out"
        found.append(make_flag("first_frames", "warning", message))
    if not _is_sorted(predictions["label"].to_numpy()):
        message = "acc_real and acc_fake are of the first and the last rows, not of the classes"
        found.append(make_flag("unsorted_labels", "warning", message))
    return found


def _is_sorted(labels: np.ndarray) -> bool:
    return bool((np.diff(labels) >= 0).all())
