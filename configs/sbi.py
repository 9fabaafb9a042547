"""EfficientNet-B4 at 380 px, trained on real videos and self-blended fakes. 17.6M parameters.

Shiohara and Yamasaki (2022), "Detecting Deepfakes with Self-Blended Images", and the authors' code:
every batch consists of real frames and a fake made of each (`data.self_blend`), and SGD with
sharpness-aware minimisation has a learning rate that falls linearly in the last quarter of the run.
Fakes in the data are not trained on, but in `tiny`. Validation reads them: the checkpoint `last` of
a run has not been chosen by any fake. The authors validate on self-blended frames, and crop faces
with random margins; here crops are as stored. There the second pass of a sharpness-aware step
updates the statistics of batch normalisation once more and draws dropout and stochastic depth anew;
here only the first pass updates them, and both passes have the same draw. Face landmarks
(`dfjax data extract --detector facemesh`) give the shape of the blended region; without them it is
an ellipse. The authors start from weights of ImageNet with adversarial examples (AdvProp), for
values in [0, 1]. Those of `dfjax weights fetch b4 --out B4.safetensors` are for the mean and
standard deviation of ImageNet, which the command sets. The manipulations of the synthetic set leave
traces that self-blending does not imitate: in `tiny`, only a quarter of the fakes are self-blended,
and the others are those of the data.

Command:  dfjax train --config=sbi --workdir=runs/sbi --config.data.path=PACK \
              --config.init.backbone=B4.safetensors \
              --config.preprocess.mean="(0.485,0.456,0.406)" \
              --config.preprocess.std="(0.229,0.224,0.225)"
Hardware: accelerators with 32 GB in all
Time:     full size not yet measured; :tiny 13 minutes on two busy CPU cores
Expected: full size not yet measured; :tiny on the synthetic test set: video AUC 0.975, 0.88 on
          `warp` and at least 0.99 on others
"""

from ml_collections import ConfigDict

from dfjax.config import base
from dfjax.variants import use_variant


def get_config(variant: str = "") -> ConfigDict:
    """Returns the published settings; `smoke` and `tiny` are small enough for a laptop CPU."""
    c = base()
    c.name = "sbi"
    c.model.name = "frame_classifier"
    c.model.frame_classifier.update({"hidden": (), "dropout": (), "input_dropout": 0.4})
    c.precision = "bfloat16"  # ours
    c.data.update({"frames": 1, "sampling": "even", "train_clips": 8, "eval_clips": 32})
    c.data.update({"self_blend": 1.0, "pairing": "paired"})
    c.preprocess.update({"size": 380, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)})
    c.augment.preset = "sbi"
    c.loss.name = "cross_entropy"
    c.optimizer.update({"name": "sgd", "learning_rate": 1e-3, "sam_radius": 0.05})
    c.schedule.update({"name": "linear", "hold": 0.75})
    c.train.update({"batch_size": 32, "epochs": 100})
    c.early_stop.patience = 0  # all 100 epochs
    c.eval.batch_size = 32
    use_variant(c, variant)
    if variant == "tiny":
        c.data.update({"self_blend": 0.25, "eval_clips": 12})  # all frames of a synthetic video
        c.train.update({"batch_size": 16, "epochs": 30, "ema_decay": 0.998})
    if variant:
        c.model.frame_classifier.update({"backbone": "b0", "input_dropout": 0.1})
        c.optimizer.name = "adam"  # from random weights
    return c
