"""The streams of `dual_stream`: `hq`, `lq`, both, and both with optical flow.

The stream `hq` reads the frames at full size, and `lq` the same frames downsampled.

Command:  dfjax ablate dual_stream_streams --workdir=runs/streams --config.data.path=PACK
Hardware: as dual_stream; the variant :tiny runs on a laptop CPU
Time:     full size not yet measured
Expected: full size not yet measured; the README has :tiny
"""

from typing import Any


def get_table(variant: str = "") -> dict[str, Any]:
    """Returns the table: every row is `dual_stream` with other streams."""
    del variant  # the same rows at every size
    return {
        "title": "dual_stream: streams",
        "config": "dual_stream",
        "rows": {
            "HQ only": ("model.dual_stream.streams=('hq',)",),
            "LQ only": ("model.dual_stream.streams=('lq',)",),
            "dual": (),
            "dual + flow": ("model.dual_stream.flow=True", "data.flow=True"),
        },
    }
