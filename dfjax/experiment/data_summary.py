"""What a run says of its data before it starts, and what will disappoint."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from dfjax import FAKE
from dfjax.data.clips.batching import SELF_BLENDED, find_pairs
from dfjax.data.faces.landmarks import count_landmarks
from dfjax.data.index.frame_counts import count_frames, describe_frames, summarise_frames
from dfjax.data.store.feature_pack import read_record
from dfjax.experiment.objective import find_class_weights


def announce(
    say: Callable[[str], None],
    index: pd.DataFrame,
    rows: Mapping[str, np.ndarray],
    config: ConfigDict,
) -> None:
    """Tells how many videos there are, which of them training leaves out, and warns.

    Args:
        say: takes one line.
        index: of the data.
        rows: positions in it, by split.
        config: of the run; has the size of the crops.
    """
    labels = index["label"].to_numpy()
    for split, chosen in rows.items():
        fakes = int((labels[chosen] == FAKE).sum())
        say(f"{split}: {len(chosen) - fakes} real, {fakes} fake videos")
    _say_frames(say, index.iloc[rows["train"]])
    _say_weights(say, index, rows["train"], config)
    _say_draws(say, index.iloc[rows["train"]], config)
    if config.data.pairing == "paired" and config.data.self_blend < 1:
        _say_pairs(say, index, rows["train"], labels)
    if (index["dataset"] == "synthetic").all():
        say("the data is synthetic: scores say nothing about real deepfakes")
    if config.data.features:
        _say_features(say, Path(config.data.features))
        return
    size, crop_size = config.preprocess.size, config.data.crop_size
    if crop_size < size:
        say(
            f"warning: crops of {crop_size} px are enlarged to the model's {size} px; "
            f"extract them with a size of {size} px or more"
        )


def _say_features(say: Callable[[str], None], folder: Path) -> None:
    record = read_record(folder)
    random = "warning: " if record["parameters"].startswith("random") else ""
    say(f"{random}features of {record['backbone']['name']}, {record['parameters']}; not augmented")


def _say_frames(say: Callable[[str], None], videos: pd.DataFrame) -> None:
    """Frame counts by class: a class whose videos are longer is told by counting."""
    block = summarise_frames(count_frames(videos), videos["label"])
    if not block["ratio"]:
        return
    say(f"frames per training video: {describe_frames(block)}")


def _say_weights(
    say: Callable[[str], None], index: pd.DataFrame, rows: np.ndarray, config: ConfigDict
) -> None:
    weights = find_class_weights(config, index, rows)
    if not weights:
        return
    say(f"class weights: real {weights.real:.3f}, fake {weights.fake:.3f}")
    if config.data.pairing != "none":
        say(
            f"warning: data.pairing={config.data.pairing} already shows both classes equally often;"
            " class weights tip the balance again"
        )


def _say_draws(say: Callable[[str], None], videos: pd.DataFrame, config: ConfigDict) -> None:
    data = config.data
    if data.self_blend:
        shape = "the hull of its landmarks" if count_landmarks(videos) else "an ellipse"
        say(
            f"{data.self_blend:.0%} of the fakes are {SELF_BLENDED}: two views of a real video, "
            f"the face being {shape}"
        )
    if data.balance_datasets:
        counts = videos["dataset"].value_counts().sort_index()
        sets = ", ".join(f"{name} ({count})" for name, count in counts.items())
        say(f"data sets come equally often: {sets}")
    if data.hard_mining:
        say(f"{data.hard_mining:.0%} of an epoch goes by the losses of its videos")


def _say_pairs(
    say: Callable[[str], None], index: pd.DataFrame, rows: np.ndarray, labels: np.ndarray
) -> None:
    pairs = find_pairs(index, rows)
    if len(pairs.alone):
        fakes = int((labels[pairs.alone] == FAKE).sum())
        say(
            f"warning: {len(pairs.alone)} training videos ({len(pairs.alone) - fakes} real, {fakes}"
            f" fake) have no partner and are left out; {len(pairs.fake)} pairs are used. "
            "data.pairing=balanced uses all videos"
        )
