"""EfficientNet-B4 at 380 px with the head of a Keras model, trained in two phases.

Phase 1 trains the head on a frozen base (923,137 parameters). Phase 2 also trains the end of the
base (5,494,641 parameters), with all batch normalisation of the base frozen. One command runs both.
The base needs pre-trained parameters, such as those of ImageNet; without them the command ends with
an error.

In the published model a sigmoid above 0.5 means real; here a positive logit means fake, as in all
configs.

Command:  dfjax train --config=efficientnet_b4_380 --workdir=runs/b4_380 --config.data.path=PACK \
              --config.train.init_from=B4.safetensors
Hardware: any; batch 32 wants an accelerator with 16 GB
Time:     full size not yet measured; :tiny 3 minutes of CPU time, its data apart
Expected: full size not yet measured; :tiny on the synthetic test set: video AUC 0.94
"""

from ml_collections import ConfigDict

from dfjax.config import base
from dfjax.variants import use_variant

# Frozen when the last 20 Keras layers are trained: everything except the projection of block 7a,
# block 7b and the top convolution, and all batch normalisation including scale and offset.
FROZEN = ("^backbone/(?!stage7_block1/project_conv/|stage7_block2/|top_conv/)", "^backbone/.*_bn/")
PHASE_2 = f"optimizer.freeze={FROZEN!r}"


def get_config(variant: str = "") -> ConfigDict:
    """Returns the published settings; `smoke` and `tiny` are small enough for a laptop CPU."""
    c = base()
    c.name = "efficientnet_b4_380"
    c.precision = "bfloat16"
    c.model.name = "frame_classifier"
    c.model.frame_classifier.update(
        {
            "base_train": False,
            "input_norm": True,
            "input_dropout": 0.0,
            "dropout": (0.5,),
            "norm": "keras",
            "classes": 1,
        }
    )
    c.data.frames = 1
    c.data.update({"sampling": "even", "train_clips": 16, "eval_clips": 16})  # ours
    c.augment.preset = "affine_brightness"
    c.preprocess.size = 380
    c.loss.update({"name": "focal", "class_weights": "balanced"})
    c.loss.focal.gamma = 2.0
    c.optimizer.update({"name": "adam", "learning_rate": 1e-3, "freeze": ("^backbone/",)})
    c.plateau.update({"rule": "keras", "patience": 3, "factor": 0.3})
    c.plateau.floor = 1e-4  # of the learning rate: 1e-7
    c.early_stop.update({"metric": "loss", "mode": "min", "patience": 7})
    c.train.update({"batch_size": 32, "epochs": 30})  # ours
    c.eval.batch_size = 32
    c.phases = (
        ("optimizer.learning_rate=1e-4", "plateau.floor=1e-3", "train.epochs=20",
         "early_stop.min_epochs=10", PHASE_2),
    )  # fmt: skip
    use_variant(c, variant)
    if variant:
        c.model.frame_classifier.update({"backbone": "b0", "dropout": (0.1,)})
    if variant == "smoke":
        c.train.update({"epochs": 1, "freeze_random": True})
        c.phases = (("train.epochs=1", PHASE_2),)
    if variant == "tiny":  # a further phase before the two trains the base
        c.model.frame_classifier.base_train = True
        c.optimizer.freeze = ()
        c.loss.class_weights = "none"  # pairs are balanced
        c.train.epochs = 16
        frozen = ("model.frame_classifier.base_train=False", "optimizer.freeze=('^backbone/',)")
        c.phases = (
            (*frozen, "optimizer.learning_rate=1e-3", "train.epochs=2"),
            ("optimizer.learning_rate=1e-4", "train.epochs=2", PHASE_2),
        )
    return c
