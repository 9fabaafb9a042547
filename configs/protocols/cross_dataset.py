"""Cross-data-set: one detector on data sets that it was not trained on.

Command:  dfjax protocol cross_dataset mine=runs/mine --data celebdf_v2=work/celebdf/pack \\
              dfdc=work/dfdc/pack --out tables/cross_dataset
Hardware: that of the evaluation
Time:     not yet measured
Expected: not yet measured

The data sets of Yan et al. 2023 (protocol 2), with WildDeepfake and FFIW-10K. Data sets that are
not given have empty cells and are not in the mean.
"""

from typing import Any


def get_protocol() -> dict[str, Any]:
    """Returns the columns of the table, one per data set."""
    return {
        "title": "Cross-data-set",
        "columns": {
            "CDFv1": {"dataset": "celebdf_v1"},
            "CDFv2": {"dataset": "celebdf_v2"},
            "DF-1.0": {"dataset": "deeperforensics"},
            "DFD": {"dataset": "dfd"},
            "DFDC": {"dataset": "dfdc"},
            "DFDCP": {"dataset": "dfdcp"},
            "Fsh": {"dataset": "ffpp", "methods": ("FaceShifter",)},
            "UADFV": {"dataset": "uadfv"},
            "WDF": {"dataset": "wilddeepfake"},
            "FFIW": {"dataset": "ffiw"},
        },
    }
