"""Published improvements of `resnet18_bilstm` in three phases, added one after another.

Phase 1 changes the data, phase 2 the parts of the detector, and phase 3 its architecture. The row
with aligned faces needs a second pack of the same videos, with crops of `dfjax data extract
--align`, and is left out without it.

Command:  dfjax ablate bilstm_phases --config.data.path=PACK --pack aligned=ALIGNED_PACK
Hardware: as resnet18_bilstm, with twice the frames and three scales
Time:     not yet measured
Expected: not yet measured
"""

from typing import Any


def get_table(variant: str = "") -> dict[str, Any]:
    """Returns the table: each row keeps the changes of the rows above it."""
    model = "model.clip_detector"
    frames = {"smoke": 6, "tiny": 12}.get(variant, 32)
    stronger = ("resnet34", 0.0) if variant else ("b0", 0.2)  # ours: the hybrid's; drop-path
    scales, side = ((32, 48, 64), 64) if variant else ((160, 224, 320), 320)
    return {
        "title": "resnet18_bilstm: phases 1 to 3",
        "config": "resnet18_bilstm",
        "cumulative": True,
        "packs": {"aligned": "crops aligned by landmarks (dfjax data extract --align)"},
        "rows": {
            "plain": ("augment.preset=none", "mix.mixup=0.0", "mix.cutmix=0.0"),
            "1: augmentation": (
                "augment.preset=crop_jitter",
                "mix.mixup=0.2",
                "mix.cutmix=1.0",
                "mix.probability=0.5",
            ),
            "1: flip averaging in evaluation": ("evaluate.flip=True",),
            "1: aligned faces": ("pack=aligned",),
            "1: longer sequences": (f"data.frames={frames}",),
            "2: fusion gate": (f"{model}.join=gate",),
            "2: stronger backbone": (
                f"{model}.backbone={stronger[0]}",
                f"{model}.drop_path={stronger[1]}",
            ),
            "2: better recurrence, layer-norm LSTM": (f"{model}.layer_norm=True",),
            "3: cross-attention": (f"{model}.cross_attention=True",),
            "3: dual pathway": (f"{model}.dual_pathway=True",),
            "3: several scales": (f"{model}.scales={scales}", f"preprocess.size={side}"),
        },
    }
