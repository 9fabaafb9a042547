"""What a run says of its data before it starts, and what will disappoint."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from dfjax import FAKE
from dfjax.data.sampling import find_pairs


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
    if config.data.pairing == "paired":
        _say_pairs(say, index, rows["train"], labels)
    if (index["dataset"] == "synthetic").all():
        say("the data is synthetic: scores say nothing about real deepfakes")
    size, crop_size = config.preprocess.size, config.data.crop_size
    if crop_size < size:
        say(
            f"warning: crops of {crop_size} px are enlarged to the model's {size} px; "
            f"extract with --size {size} or more"
        )


def _say_pairs(
    say: Callable[[str], None], index: pd.DataFrame, rows: np.ndarray, labels: np.ndarray
) -> None:
    pairs = find_pairs(index, rows)
    if len(pairs.alone):
        fakes = int((labels[pairs.alone] == FAKE).sum())
        say(
            f"warning: {len(pairs.alone)} training videos ({len(pairs.alone) - fakes} real, {fakes}"
            f" fake) have no partner and are left out; {len(pairs.fake)} pairs are used. "
            "--config.data.pairing=balanced uses all videos"
        )
