"""What is trained of a vision transformer that is pre-trained on other images: `gend` by parts.

The first rows are those of the paper's ablation. Then follow LoRA and Effort on the attention, and
full fine-tuning, all three without unit features and the added terms, as the second row. All rows
have the batch, epochs and weight decay of `gend`. Effort has its published learning rate and
penalties; the rank and learning rate of LoRA and the learning rate of full fine-tuning are ours.
The small variants start from random weights, so that their frozen rows show only what the trained
part learns.

Command:  dfjax ablate adaptation --seeds=3 --config.data.path=PACK \
              --config.init.backbone=CLIP_L14.safetensors
Hardware: accelerators with 80 GB in all; full fine-tuning needs more
Time:     not yet measured
Expected: not yet measured
"""

from typing import Any


def get_table(variant: str = "") -> dict[str, Any]:
    """Returns the table; every row is independent of the others."""
    unit = "model.frame_classifier.unit_features"
    plain = ("loss.uniformity=0.0", "loss.alignment=0.0")
    head = 'optimizer.freeze=("^backbone/",)'
    norms = 'optimizer.freeze=("^backbone/(?!.*_norm/)",)'
    random = ("train.freeze_random=True",) if variant else ()
    return {
        "title": "gend: what is trained",
        "config": "gend",
        "cumulative": False,
        "rows": {
            "head": (head, f"{unit}=False", *plain, *random),
            "layer normalisations": (norms, f"{unit}=False", *plain, *random),
            "+ unit features": (norms, f"{unit}=True", *plain, *random),
            "+ uniformity, alignment": (norms, f"{unit}=True", *random),
            "LoRA": (head, "adapter.name=lora", f"{unit}=False", *plain, *random),
            "Effort": (
                head,
                *("adapter.name=svd", "adapter.rank=1"),
                *("loss.orthogonality=1.0", "loss.singular_values=1.0"),
                *(() if variant else ("optimizer.learning_rate=2e-4",)),
                *(f"{unit}=False", *plain, *random),
            ),
            "all parameters": (
                "optimizer.freeze=()",
                *(() if variant else ("optimizer.learning_rate=1e-5",)),
                *(f"{unit}=False", *plain),
            ),
        },
    }
