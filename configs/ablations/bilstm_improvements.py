"""Published improvements of `resnet18_bilstm`, one at a time.

Command:  dfjax ablate bilstm_improvements --workdir=runs/improvements --config.data.path=PACK
Hardware: as resnet18_bilstm
Time:     not yet measured
Expected: not yet measured
"""

from typing import Any


def get_table(variant: str = "") -> dict[str, Any]:
    """Returns the table: every row is `resnet18_bilstm` with one improvement."""
    model = "model.clip_detector"
    scales, side = ((32, 48, 64), 64) if variant else ((160, 224, 320), 320)
    mixup, cutmix = (0.0, 0.0) if variant else (0.2, 1.0)  # the config's; off in pre-training
    return {
        "title": "resnet18_bilstm: improvements, one at a time",
        "config": "resnet18_bilstm",
        "rows": {
            "BiLSTM": (),
            "GRU": (f"{model}.temporal=gru",),
            "layer-norm LSTM": (f"{model}.layer_norm=True",),
            "peephole LSTM": (f"{model}.peephole=True",),
            "ConvLSTM": (f"{model}.temporal=conv_lstm",),
            "Transformer": (f"{model}.temporal=transformer",),
            "self-attention": (f"{model}.self_attention=True",),
            "cross-attention": (f"{model}.cross_attention=True",),
            "fusion gate": (f"{model}.join=gate",),
            "residual projection": (f"{model}.join=residual",),
            "dual pathway": (f"{model}.dual_pathway=True",),
            "feature pyramid": (f"{model}.pyramid=128",),
            "spatial attention": (f"{model}.spatial_attention=True",),
            "three scales": (f"{model}.scales={scales}", f"preprocess.size={side}"),
            "DCT stream": (f"{model}.frequency=dct",),
            "FFT stream": (f"{model}.frequency=fft",),
            "24 frames": ("data.frames=24",),
            "32 frames, every second": ("data.frames=32", "data.stride=2"),
            "16 frames over 4 s": ("data.sampling=duration:4",),
            "supervised contrastive first": (
                "loss.name=supcon",
                f"{model}.embedding=128",
                "early_stop.metric=loss",
                "early_stop.mode=min",
                "mix.mixup=0.0",
                "mix.cutmix=0.0",
                "phases=(('loss.name=bce','early_stop.metric=macro_f1','early_stop.mode=max',"
                f"'{model}.embedding=0','mix.mixup={mixup}','mix.cutmix={cutmix}'),)",
            ),
            "temporal consistency": ("loss.temporal=0.1",),
            "hard examples": ("data.hard_mining=0.5",),
            "self-blended fakes": ("data.self_blend=0.5",),
        },
    }
