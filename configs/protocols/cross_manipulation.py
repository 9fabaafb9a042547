"""Cross-manipulation: detectors trained on one manipulation, tested on each of four.

Command:  dfjax protocol cross_manipulation DF=runs/df F2F=runs/f2f FS=runs/fs NT=runs/nt \\
              --out tables/cross_manipulation
Hardware: that of the evaluation
Time:     not yet measured
Expected: not yet measured
"""

from typing import Any


def get_protocol() -> dict[str, Any]:
    """Returns the columns of the table, one per manipulation of FaceForensics++."""
    return {
        "title": "Cross-manipulation, rows by the manipulation of the training",
        "columns": {
            "DF": {"dataset": "ffpp", "methods": ("Deepfakes",)},
            "F2F": {"dataset": "ffpp", "methods": ("Face2Face",)},
            "FS": {"dataset": "ffpp", "methods": ("FaceSwap",)},
            "NT": {"dataset": "ffpp", "methods": ("NeuralTextures",)},
        },
    }
