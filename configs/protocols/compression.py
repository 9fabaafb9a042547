"""Compression: one detector on the three compressions of FaceForensics++.

Command:  dfjax protocol compression mine=runs/mine --data raw=work/raw/pack c23=work/c23/pack \\
              c40=work/c40/pack --out tables/compression
Hardware: that of the evaluation
Time:     not yet measured
Expected: not yet measured
"""

from typing import Any


def get_protocol() -> dict[str, Any]:
    """Returns the columns of the table, one per compression."""
    return {
        "title": "Compression of FaceForensics++",
        "columns": {
            rate: {"dataset": "ffpp", "compression": rate} for rate in ("raw", "c23", "c40")
        },
    }
