"""Rules on the methods of a table as it was read."""

import numpy as np
import pandas as pd

from dfjax import FAKE
from dfjax.evaluation.flags.evidence import Flag, make_flag

UNKNOWN = "unknown"
"""Data set of a table without one, and method of fakes without one."""


def compare_methods(table: pd.DataFrame, name: str) -> list[Flag]:
    """Returns flags for methods that contradict the labels.

    Args:
        table: Predictions with the columns `video_id label method`.
        name: Name of the file, for the messages.
    """
    codes, methods = pd.factorize(table["method"])
    words = np.array([str(method).strip().casefold() for method in methods])
    fake = table["label"].to_numpy() == FAKE
    both = np.intersect1d(codes[fake], codes[~fake])
    both = both[~np.isin(words[both], ("real", UNKNOWN))]
    message = f"{name}: {{}} rows are labelled fake but their method is 'real'"
    found = [("error", message, fake & np.isin(codes, np.flatnonzero(words == "real")))]
    message = f"{name}: {{}} rows are labelled real but their method is also that of fakes"
    found.append(("warning", message, ~fake & np.isin(codes, both)))
    return [
        make_flag("method_conflicts", severity, text.format(rows.sum()), table["video_id"][rows])
        for severity, text, rows in found
        if rows.any()
    ]
