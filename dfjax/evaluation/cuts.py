"""The tables that an evaluation measures: all videos, those of a data set, of a manipulation."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd
from jaxtyping import Bool

from dfjax import FAKE, REAL

Mask = Bool[np.ndarray, "V"]
Cuts = dict[tuple[str, str], Mask]
"""By section of `metrics.json` and name in it: which videos belong to the table."""

T = TypeVar("T")

OVERALL = ("overall", "")


def cut_tables(
    predictions: pd.DataFrame, videos: pd.DataFrame, heldout_methods: Sequence[str]
) -> Cuts:
    """Returns the tables of `overall`, `by_dataset`, `by_method` and `unseen_methods`.

    The first three leave out the fakes of `heldout_methods`. A manipulation's table has all real
    videos of its data set too; one that several data sets have appears once for each, as
    `DATASET/METHOD`. A data set or manipulation of which no video has a score has a table, too.

    Args:
        predictions: Table that says which data sets and manipulations there are.
        videos: Videos with a score, one row each.
        heldout_methods: Manipulations held back from training.
    """
    dataset, method, label = (videos[n].to_numpy() for n in ("dataset", "method", "label"))
    held = find_heldout(videos, heldout_methods).to_numpy()
    cuts = {OVERALL: ~held}
    for name in sorted(set(predictions["dataset"])):
        cuts["by_dataset", str(name)] = (dataset == name) & ~held
    fakes = predictions.loc[predictions["label"] == FAKE, ["method", "dataset"]].drop_duplicates()
    pairs = sorted(fakes.itertuples(index=False, name=None))
    methods = [name for name, _ in pairs]
    for name, source in pairs:
        section = "unseen_methods" if name in heldout_methods else "by_method"
        known_as = name if methods.count(name) == 1 else f"{source}/{name}"
        mine = (label == REAL) | (method == name)
        cuts[section, known_as] = (dataset == source) & mine
    return cuts


def find_heldout(table: pd.DataFrame, heldout_methods: Sequence[str]) -> pd.Series:
    """Returns for each row whether it is a fake of a manipulation held back from training."""
    return table["method"].isin(list(heldout_methods)) & (table["label"] == FAKE)


def take_section(measured: Mapping[tuple[str, str], T], section: str) -> dict[str, T]:
    """Returns what was found of the tables of one section, by name."""
    return {name: value for (place, name), value in measured.items() if place == section}
