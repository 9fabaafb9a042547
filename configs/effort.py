"""CLIP L/14 of which the smallest singular value of each attention kernel is trained (Effort).

Yan et al. (2025), "Orthogonal Subspace Decomposition for Generalizable AI-Generated Image
Detection": each of the 96 projections of the attention is split by singular value decomposition
into a fixed part of rank 1,023 and a trained part of rank 1, and a linear layer of two classes
reads the pooled output. Two penalties keep the singular vectors orthonormal and the norms of the
kernels as they were. 196,704 parameters of the kernels and 2,050 of the head are trained.
Optimiser, batch and epochs are those of `effort.yaml` in DeepfakeBench (commit 8a4a7bf; another
version has a tenth of the learning rate). The code there minimises the cross-entropy alone; the
penalties are the paper's, and their factors ours. It chooses the checkpoint on the test data, this
config on the validation data. The weights of CLIP come from the Hugging Face Hub
(`dfjax weights import --from transformers`). The small variants start from random weights: the
kernels of the attention stay, but for their trained part of rank 1, and all others are trained.

Command:  dfjax train --config=effort --workdir=runs/effort --config.data.path=PACK \
              --config.init.backbone=CLIP_L14.safetensors
Hardware: an accelerator with 16 GB
Time:     full size not yet measured; :tiny 12 minutes on two busy CPU cores
Expected: full size not yet measured; :tiny on the synthetic test set: video AUC 0.970, 0.86 on
          `warp` and at least 0.99 on others
"""

from ml_collections import ConfigDict

from dfjax.config import base
from dfjax.variants import use_small_vit, use_variant


def get_config(variant: str = "") -> ConfigDict:
    """Returns the published settings; `smoke` and `tiny` are small enough for a laptop CPU."""
    c = base()
    c.name = "effort"
    c.model.name = "frame_classifier"
    c.model.frame_classifier.update(
        {"backbone": "clip_l14", "drop_path": 0.0, "hidden": (), "dropout": ()}
        | {"input_dropout": 0.0, "scan_blocks": True}
    )
    c.precision = "bfloat16"
    c.data.update({"frames": 1, "sampling": "even", "train_clips": 8, "eval_clips": 8})
    c.preprocess.mean = (0.48145466, 0.4578275, 0.40821073)  # of CLIP
    c.preprocess.std = (0.26862954, 0.26130258, 0.27577711)
    c.augment.preset = "deepfakebench"
    c.adapter.update({"name": "svd", "rank": 1})
    c.loss.update({"name": "cross_entropy", "orthogonality": 1.0, "singular_values": 1.0})
    c.optimizer.update({"learning_rate": 2e-4, "weight_decay": 5e-4, "no_decay": ()})
    c.optimizer.freeze = ("^backbone/",)
    c.train.update({"batch_size": 32, "epochs": 10})
    c.early_stop.patience = 0  # all ten epochs
    c.eval.batch_size = 64
    use_variant(c, variant)
    use_small_vit(c, variant)
    if variant:  # the residuals are what is trained of the attention
        c.optimizer.freeze = c.adapter.kernels
        c.train.freeze_random = True
    if variant == "tiny":  # with weight decay `warp` is learned less well
        c.optimizer.weight_decay = 0.0
    return c
