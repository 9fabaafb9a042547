"""CLIP L/14 of which the layer normalisations are trained, with unit features. 303.2M parameters.

Yermakov et al. (2026), "Deepfake Detection that Generalizes Across Benchmarks" (GenD): the pooled
output of CLIP, divided by its length, and a linear layer of two classes. 102,400 parameters of the
layer normalisations and 2,050 of the head are trained. The authors repeat the cosine of the
learning rate every ten epochs; here it is one cosine over the run. The checkpoint is chosen by the
mean average precision of the validation videos over both classes. The weights of CLIP come from the
Hugging Face Hub (`dfjax weights import --from transformers`). The small variants have another
network (`clip_t8`: 64 px, patches of 8 px, three blocks of 96 channels), of which all parameters
are trained, from random ones, and a hundredth of the factors of the added terms; `tiny` has no
features of unit length.

Command:  dfjax train --config=gend --workdir=runs/gend --config.data.path=PACK \
              --config.init.backbone=CLIP_L14.safetensors
Hardware: accelerators with 80 GB in all; with less, --config.train.accumulate=8, and then both
          added terms compare the 64 frames of a part instead of 512
Time:     full size not yet measured; :tiny 8 minutes on two busy CPU cores
Expected: full size not yet measured; :tiny on the synthetic test set: video AUC 0.96, 0.81 on
          `warp` and at least 0.99 on others
"""

from ml_collections import ConfigDict

from dfjax.config import base
from dfjax.variants import use_small_vit, use_variant


def get_config(variant: str = "") -> ConfigDict:
    """Returns the published settings; `smoke` and `tiny` are small enough for a laptop CPU."""
    c = base()
    c.name = "gend"
    c.model.name = "frame_classifier"
    c.model.frame_classifier.update(
        {"backbone": "clip_l14", "drop_path": 0.0, "unit_features": True, "hidden": ()}
        | {"dropout": (), "input_dropout": 0.0, "scan_blocks": True}
    )
    c.precision = "bfloat16"
    c.data.update({"frames": 1, "sampling": "even", "train_clips": 32, "eval_clips": 32})
    c.data.pairing = "paired"
    c.preprocess.mean = (0.48145466, 0.4578275, 0.40821073)  # of CLIP
    c.preprocess.std = (0.26862954, 0.26130258, 0.27577711)
    c.augment.preset = "gend"
    c.loss.update({"name": "cross_entropy", "uniformity": 0.5, "alignment": 0.1})
    c.optimizer.update({"name": "adamw", "learning_rate": 3e-4, "weight_decay": 0.0})
    c.optimizer.freeze = ("^backbone/(?!.*_norm/)",)
    c.schedule.update({"name": "cosine", "final_scale": 1e-6 / 3e-4})
    c.train.update({"batch_size": 512, "epochs": 30})
    c.eval.batch_size = 64
    c.early_stop.update({"metric": "map_ovr", "patience": 0})
    use_variant(c, variant)
    use_small_vit(c, variant)
    if variant:  # with the published factors, features of random weights do not learn the labels
        c.loss.update({"uniformity": 0.005, "alignment": 0.001})
    if variant == "tiny":  # features of unit length do not learn `warp` from random weights
        c.model.frame_classifier.unit_features = False
    return c
