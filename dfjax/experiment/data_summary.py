"""A summary of the data of a run, with warnings, for the log before training starts."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from dfjax import FAKE
from dfjax.data.clips.batching import SELF_BLENDED
from dfjax.data.clips.pairs import find_pairs, find_targets
from dfjax.data.faces.landmarks import count_landmarks
from dfjax.data.index.frame_counts import count_frames, describe_frames, summarise_frames
from dfjax.data.store.feature_pack import read_record
from dfjax.experiment.objective import find_class_weights


def summarise_data(
    index: pd.DataFrame, rows: Mapping[str, np.ndarray], config: ConfigDict
) -> list[str]:
    """Returns lines with the numbers of videos, videos that are left out, and warnings.

    Args:
        index: Index of the data.
        rows: Row numbers of the index by split.
        config: Config of the run, with the size of the crops.
    """
    labels = index["label"].to_numpy()
    videos = index.iloc[rows["train"]]
    lines = []
    for split, chosen in rows.items():
        fakes = int((labels[chosen] == FAKE).sum())
        lines.append(f"{split}: {len(chosen) - fakes} real, {fakes} fake videos")
    lines += _summarise_frames(videos)
    lines += _summarise_weights(index, rows["train"], config)
    lines += _summarise_sampling(videos, config)
    if config.data.pairing in ("paired", "auto") and config.data.self_blend < 1:
        lines += _summarise_pairs(index, rows["train"], labels)
    if config.data.pairing == "source":
        lines.append(_summarise_targets(index, rows["train"]))
    if (index["dataset"] == "synthetic").all():
        lines.append("the data are synthetic: scores do not apply to real deepfakes")
    size, crop_size = config.preprocess.size, config.data.crop_size
    if config.data.features:
        lines.append(_describe_features(Path(config.data.features)))
    elif crop_size < size:
        lines.append(
            f"warning: crops of {crop_size} px are enlarged to the model's {size} px; "
            f"extract them with a size of {size} px or more"
        )
    return lines


def _describe_features(folder: Path) -> str:
    record = read_record(folder)
    random = "warning: " if record["parameters"].startswith("random") else ""
    return (
        f"{random}features of {record['backbone']['name']}, {record['parameters']}; not augmented"
    )


def _summarise_frames(videos: pd.DataFrame) -> Iterator[str]:
    """Yields a line with the frame counts by class, which may reveal the class if they differ."""
    block = summarise_frames(count_frames(videos), videos["label"])
    if block["ratio"]:
        yield f"frames per training video: {describe_frames(block)}"


def _summarise_weights(index: pd.DataFrame, rows: np.ndarray, config: ConfigDict) -> Iterator[str]:
    weights = find_class_weights(config, index, rows)
    if not weights:
        return
    yield f"class weights: real {weights.real:.3f}, fake {weights.fake:.3f}"
    if config.data.pairing != "none":
        yield (
            f"warning: data.pairing={config.data.pairing} already balances the classes; class "
            "weights unbalance them again"
        )


def _summarise_sampling(videos: pd.DataFrame, config: ConfigDict) -> Iterator[str]:
    data = config.data
    if data.self_blend:
        shape = "the hull of its landmarks" if count_landmarks(videos) else "an ellipse"
        yield (
            f"{data.self_blend:.0%} of the fakes are {SELF_BLENDED}: two views of a real video, "
            f"blended inside {shape}"
        )
    if config.loss.mask and "mask_indices" in videos:
        fakes = videos[videos["label"] == FAKE]
        masked = int(fakes["mask_indices"].map(bool).sum())
        yield f"{masked} of {len(fakes)} training fakes have masks; loss.mask leaves the others out"
    if data.balance_datasets:
        counts = videos["dataset"].value_counts().sort_index()
        sets = ", ".join(f"{name} ({count})" for name, count in counts.items())
        yield f"data sets are sampled equally often: {sets}"
    if data.hard_mining:
        yield f"{data.hard_mining:.0%} of an epoch is sampled in proportion to the losses of videos"


def _summarise_targets(index: pd.DataFrame, rows: np.ndarray) -> str:
    target, source = find_targets(index, rows).T
    alone = int((target == source).sum())
    unused = len(rows) - len(np.union1d(target, source))
    return (
        f"{len(target) - alone} pairs of a fake and its real video are used, and {alone} real "
        f"videos without a fake as their own source; {unused} videos are left out"
    )


def _summarise_pairs(index: pd.DataFrame, rows: np.ndarray, labels: np.ndarray) -> Iterator[str]:
    pairs = find_pairs(index, rows)
    if not len(pairs.real):  # `paired` is an error then
        yield "no fake names its real video (pair_id): batches are balanced by class instead"
    elif len(pairs.alone):
        fakes = int((labels[pairs.alone] == FAKE).sum())
        yield (
            f"warning: {len(pairs.alone)} training videos ({len(pairs.alone) - fakes} real, {fakes}"
            f" fake) have no partner and are left out; {len(pairs.fake)} pairs are used. "
            "data.pairing=balanced uses all videos"
        )
