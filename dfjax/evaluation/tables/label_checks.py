"""Rule on columns of labels beside the one that is used."""

import pandas as pd

from dfjax.evaluation.flags.evidence import Flag, describe_rows, make_flag
from dfjax.evaluation.tables.label_words import find_label

OTHER_LABELS = ("true_label", "ground_truth", "groundtruth", "gt", "y_true", "is_fake", "gt_label")
"""Columns that can only be labels, beside the column `label`."""


def compare_labels(table: pd.DataFrame, name: str) -> list[Flag]:
    """Returns flags for further columns of labels that contradict the labels that are used.

    Args:
        table: Predictions with the column `label` as numbers.
        name: Name of the file, for messages.
    """
    flags = []
    for column in [one for one in table if str(one).casefold() in OTHER_LABELS]:
        values = table[column].map(find_label)
        differ = values.notna() & (values != table["label"])
        if differ.any():
            message = (
                f"{name}: {differ.sum()} rows of {column} contradict label, which is used "
                f"({describe_rows(differ)})"
            )
            ids = table.loc[differ, "video_id"]
            flags.append(make_flag("labels_contradict", "error", message, ids))
    return flags
