"""The subsets of videos that metrics are computed of: all, by data set and by manipulation."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from dfjax import FAKE, REAL

Mask = Bool[np.ndarray, "V"]
Cuts = dict[tuple[str, str], Mask]
"""Mask of the videos of each table, by (section of `metrics.json`, name in the section)."""

T = TypeVar("T")
G = TypeVar("G")

OVERALL = ("overall", "")

WITH_INTERVALS, MEASURED, SHOWN = 100, 1_000, 100
CELLS = 20_000_000
"""Numbers of groups (data sets, or manipulations). With more than `WITH_INTERVALS` groups in all,
only `overall` has intervals. The `MEASURED` largest of each kind are measured, or fewer if their
masks would have more than `CELLS` entries. The `SHOWN` largest are shown in tables."""


def cut_tables(
    predictions: pd.DataFrame, videos: pd.DataFrame, heldout_methods: Sequence[str]
) -> Cuts:
    """Returns the tables of `overall`, `by_dataset`, `by_method` and `unseen_methods`.

    The first three leave out the fakes of `heldout_methods`. The table of a manipulation also
    contains all real videos of its data set; a manipulation of several data sets has one table for
    each, `DATASET/METHOD`. Data sets and manipulations without any scored video have empty tables.
    Of very many data sets or manipulations only the `MEASURED` largest have tables.

    Args:
        predictions: Predictions, whose data sets and manipulations the tables are for.
        videos: Videos with a score, one row each.
        heldout_methods: Manipulations held back from training.
    """
    dataset, datasets = _number_values(predictions["dataset"], videos["dataset"])
    method, methods = _number_values(predictions["method"], videos["method"])
    real = videos["label"].to_numpy() == REAL
    held = find_heldout(videos, heldout_methods).to_numpy()
    cuts = {OVERALL: ~held}
    most = count_measured(len(videos))
    present = sorted(datasets)
    sizes = np.bincount(dataset, minlength=len(datasets))[datasets.get_indexer(present)]
    for name in _keep_largest(present, sizes, most):
        cuts["by_dataset", str(name)] = (dataset == datasets.get_loc(name)) & ~held
    pairs, counts = _list_manipulations(predictions, videos)
    occurrences = Counter(name for name, _ in pairs)
    for name, source in _keep_largest(pairs, counts, most):
        section = "unseen_methods" if name in heldout_methods else "by_method"
        known_as = name if occurrences[name] == 1 else f"{source}/{name}"
        mine = real | (method == methods.get_loc(name))
        cuts[section, known_as] = (dataset == datasets.get_loc(source)) & mine
    return cuts


def cut_identities(identities: pd.Series, heldout: pd.Series) -> Cuts:
    """Returns the tables of `by_identity`, of the `SHOWN` persons with the most videos.

    Args:
        identities: Person shown in each video, or None.
        heldout: Mask of the fakes that are left out (`find_heldout`).
    """
    number, persons = pd.factorize(identities)
    kept = ~heldout.to_numpy()
    sizes = np.bincount(number[(number >= 0) & kept], minlength=len(persons))
    largest = np.argsort(-sizes, kind="stable")[:SHOWN]
    names = sorted((str(persons[one]), one) for one in largest if sizes[one])
    return {("by_identity", name): (number == one) & kept for name, one in names}


def count_measured(videos: int) -> int:
    """Returns the largest number of data sets, and of manipulations, that have tables."""
    return max(SHOWN, min(MEASURED, CELLS // max(videos, 1)))


def count_groups(predictions: pd.DataFrame) -> int:
    """Returns the number of data sets and manipulations in a table of predictions."""
    fakes = predictions.loc[predictions["label"] == FAKE, ["method", "dataset"]]
    return predictions["dataset"].nunique() + len(fakes.drop_duplicates())


def _list_manipulations(
    predictions: pd.DataFrame, videos: pd.DataFrame
) -> tuple[list[tuple[str, str]], Int[np.ndarray, "N"]]:
    """Returns the pairs of manipulation and data set, sorted, and their numbers of videos."""
    keys = ["method", "dataset"]
    fakes = predictions.loc[predictions["label"] == FAKE, keys].drop_duplicates()
    pairs = sorted(fakes.itertuples(index=False, name=None))
    counts = videos[videos["label"] == FAKE].groupby(keys).size()
    found = counts.reindex(pd.MultiIndex.from_tuples(pairs, names=keys), fill_value=0)
    return pairs, found.to_numpy(np.int64)


def _keep_largest(groups: Sequence[G], sizes: Int[np.ndarray, "N"], most: int) -> list[G]:
    """Returns the groups as they are or, if there are more than `SHOWN`, the largest ones first."""
    if len(groups) <= SHOWN:
        return list(groups)
    return [groups[place] for place in np.argsort(-sizes, kind="stable")[:most]]


def _number_values(every: pd.Series, values: pd.Series) -> tuple[Int[np.ndarray, "V"], pd.Index]:
    """Returns the number of each of `values`, and the distinct values of `every` by number."""
    distinct = pd.Index(every.drop_duplicates())
    return distinct.get_indexer(values), distinct


def find_heldout(table: pd.DataFrame, heldout_methods: Sequence[str]) -> pd.Series:
    """Returns a mask of the rows that are fakes of a manipulation held back from training."""
    return table["method"].isin(list(heldout_methods)) & (table["label"] == FAKE)


def take_section(measured: Mapping[tuple[str, str], T], section: str) -> dict[str, T]:
    """Returns the values of the tables of one section, by name."""
    return {name: value for (place, name), value in measured.items() if place == section}
