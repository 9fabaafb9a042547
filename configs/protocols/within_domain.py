"""Within-domain: FaceForensics++ at both compressions, and each manipulation at c23.

Command:  dfjax protocol within_domain mine=runs/mine --out tables/within_domain
Hardware: that of the evaluation
Time:     not yet measured
Expected: not yet measured

Of a detector that was trained on FaceForensics++ c23 (Yan et al. 2023, protocol 1).
"""

from typing import Any


def get_protocol() -> dict[str, Any]:
    """Returns the columns of the table: compressions, then manipulations."""
    c23 = {"dataset": "ffpp", "compression": "c23"}
    four = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
    return {
        "title": "Within-domain, trained on FaceForensics++ c23",
        "columns": {
            "FF++ c23": {**c23, "methods": four},
            "FF++ c40": {"dataset": "ffpp", "compression": "c40", "methods": four},
            "DF": {**c23, "methods": ("Deepfakes",)},
            "F2F": {**c23, "methods": ("Face2Face",)},
            "FS": {**c23, "methods": ("FaceSwap",)},
            "NT": {**c23, "methods": ("NeuralTextures",)},
        },
    }
