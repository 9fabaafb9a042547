"""Images beside RGB that a frame classifier reads: noise residuals, the phase of the spectrum.

The SRM residual (Luo et al. 2021) and the phase image (SPSL, Liu et al. 2021) are further
channels of the backbone's first convolution; see `dfjax.ops.views`.

Command:  dfjax ablate frame_streams --workdir=runs/frame_streams --config.data.path=PACK
Hardware: as xception, the backbone of SPSL
Time:     not yet measured
Expected: not yet measured
"""

from typing import Any


def get_table(variant: str = "") -> dict[str, Any]:
    """Returns the table: every row is `xception` with other streams."""
    del variant  # the same rows at every size
    return {
        "title": "xception: streams beside RGB",
        "config": "xception",
        "rows": {
            "RGB": (),
            "RGB + SRM": ("model.frame_classifier.streams=('rgb', 'srm')",),
            "RGB + phase": ("model.frame_classifier.streams=('rgb', 'phase')",),
            "RGB + SRM + phase": ("model.frame_classifier.streams=('rgb', 'srm', 'phase')",),
        },
    }
