"""Improvements of `resnet18_bilstm` in three phases, each kept while the next is added.

Command:  dfjax ablate bilstm_phases --workdir=runs/phases --config.data.path=PACK
Hardware: as resnet18_bilstm
Time:     not yet measured
Expected: not yet measured
"""

from typing import Any


def get_table(variant: str = "") -> dict[str, Any]:
    """Returns the table: training first, then attention and fusion, then several views."""
    model = "model.clip_detector"
    del variant  # the same rows at every size
    return {
        "title": "resnet18_bilstm: phases 1 to 3",
        "config": "resnet18_bilstm",
        "cumulative": True,
        "rows": {
            "plain BiLSTM": (
                "augment.preset=flip",
                "loss.smoothing=0.0",
                "mix.mixup=0.0",
                "mix.cutmix=0.0",
                "schedule.name=constant",
            ),
            "1: augmentation": ("augment.preset=crop_jitter",),
            "1: label smoothing": ("loss.smoothing=0.1",),
            "1: mixup and CutMix": ("mix.mixup=0.2", "mix.cutmix=1.0", "mix.probability=0.5"),
            "1: warm restarts": ("schedule.name=restarts", "schedule.period=2000"),
            "2: self-attention": (f"{model}.self_attention=True",),
            "2: cross-attention": (f"{model}.cross_attention=True",),
            "2: fusion gate": (f"{model}.join=gate",),
            "3: feature pyramid": (f"{model}.pyramid=128",),
            "3: DCT stream": (f"{model}.frequency=dct",),
            "3: temporal consistency": ("loss.temporal=0.1",),
        },
    }
