"""The subsets of videos that metrics are computed of: all, by data set and by manipulation."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd
from jaxtyping import Bool

from dfjax import FAKE, REAL

Mask = Bool[np.ndarray, "V"]
Cuts = dict[tuple[str, str], Mask]
"""Mask of the videos of each table, by (section of `metrics.json`, name in the section)."""

T = TypeVar("T")

OVERALL = ("overall", "")


def cut_tables(
    predictions: pd.DataFrame, videos: pd.DataFrame, heldout_methods: Sequence[str]
) -> Cuts:
    """Returns the tables of `overall`, `by_dataset`, `by_method` and `unseen_methods`.

    The first three leave out the fakes of `heldout_methods`. The table of a manipulation also
    contains all real videos of its data set; a manipulation of several data sets has one table for
    each, `DATASET/METHOD`. Data sets and manipulations without any scored video have empty tables.

    Args:
        predictions: Predictions, whose data sets and manipulations the tables are for.
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
    """Returns a mask of the rows that are fakes of a manipulation held back from training."""
    return table["method"].isin(list(heldout_methods)) & (table["label"] == FAKE)


def take_section(measured: Mapping[tuple[str, str], T], section: str) -> dict[str, T]:
    """Returns the values of the tables of one section, by name."""
    return {name: value for (place, name), value in measured.items() if place == section}
