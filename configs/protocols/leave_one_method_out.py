"""Leave one method out: every manipulation is tested by a detector that never saw it.

Command:  dfjax protocol leave_one_method_out DF=runs/without_df F2F=runs/without_f2f \\
              FS=runs/without_fs NT=runs/without_nt --out tables/leave_one_method_out
Hardware: that of the evaluation
Time:     not yet measured
Expected: not yet measured

The name of a detector is that of the column whose manipulation was held back from its training.
"""

from typing import Any


def get_protocol() -> dict[str, Any]:
    """Returns the columns of the table; each has one detector."""
    return {
        "title": "Leave one method out of FaceForensics++",
        "diagonal": True,
        "columns": {
            "DF": {"dataset": "ffpp", "methods": ("Deepfakes",)},
            "F2F": {"dataset": "ffpp", "methods": ("Face2Face",)},
            "FS": {"dataset": "ffpp", "methods": ("FaceSwap",)},
            "NT": {"dataset": "ffpp", "methods": ("NeuralTextures",)},
        },
    }
