"""EfficientNet-B4 at 380 px with the head of a Keras model, trained in two phases.

Phase 1 trains the head on a frozen base, 923,137 parameters; phase 2 the end of the base too,
5,494,641, with every batch normalisation of the base frozen. One command runs both.

The published model's sigmoid says > 0.5 = real; here, as everywhere, a positive logit says fake.

Command:  dfjax train --config=efficientnet_b4_380 --workdir=runs/b4_380 --config.data.path=PACK
Hardware: any; batch 32 wants an accelerator with 16 GB
Time:     full size not yet measured; :tiny 3 minutes of CPU time, its data apart
Expected: full size not yet measured; :tiny on the synthetic test set: video AUC 0.94
"""

from ml_collections import ConfigDict

from dfjax.config import base

# What Keras' last 20 layers leave frozen: all but the projection of block 7a, block 7b and the
# top convolution; and of these the batch normalisation, scale and offset included.
FROZEN = ("^backbone/(?!stage7_block1/project_conv/|stage7_block2/|top_conv/)", "^backbone/.*_bn/")
PHASE_2 = f"optimizer.freeze={FROZEN!r}"


def get_config(variant: str = "") -> ConfigDict:
    """Returns the published settings; `smoke` and `tiny` are small enough for a laptop CPU.

    The batch and the epochs of phase 1 are ours: none is published.
    """
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
    c.data.sampling = "even"
    c.data.train_clips = 16
    c.data.eval_clips = 16
    c.augment.preset = "affine_brightness"
    c.preprocess.size = 380
    c.loss.update({"name": "focal", "gamma": 2.0, "class_weights": "balanced"})
    c.optimizer.update({"learning_rate": 1e-3, "freeze": ("^backbone/",)})
    c.plateau.update({"patience": 3, "factor": 0.3, "floor": 1e-4})  # of the rate: 1e-7
    c.early_stop.update({"metric": "loss", "mode": "min", "patience": 7})
    c.train.update({"batch_size": 32, "epochs": 30})
    c.eval.batch_size = 32
    phases: list[tuple[str, ...]] = [
        ("optimizer.learning_rate=1e-4", "plateau.floor=1e-3", "train.epochs=20",
         "early_stop.min_epochs=10", PHASE_2)
    ]  # fmt: skip
    if variant:
        _small(c)
    if variant == "tiny":
        # No trained base to freeze: a phase before the two makes one.
        c.model.frame_classifier.base_train = True
        c.optimizer.update({"learning_rate": 2e-3, "freeze": ()})
        phase_1 = ("model.frame_classifier.base_train=False", "optimizer.freeze=('^backbone/',)")
        phases = [(*phase_1, "optimizer.learning_rate=1e-3", "train.epochs=2"),
                  ("optimizer.learning_rate=1e-4", "train.epochs=2", PHASE_2)]  # fmt: skip
        c.data.synthetic.update({"videos": 2000, "identities": 200})
        # A frame shows a forgery half of the time: many frames, and its real twin beside each.
        c.data.update({"pairing": "paired", "train_clips": 4})
        c.loss.class_weights = "none"
        c.train.update({"batch_size": 32, "epochs": 16})
    if variant == "smoke":
        phases = [("train.epochs=1", PHASE_2)]
        c.data.synthetic.update({"videos": 16, "identities": 8})
        c.data.eval_clips = 2
        c.train.update({"batch_size": 8, "epochs": 1, "log_every": 1})
        c.eval.batch_size = 8
    c.phases = tuple(phases)
    return c


def _small(c: ConfigDict) -> None:
    """The demo's size: one block per stage, a quarter of the width, 64 px."""
    c.precision = "float32"
    c.lowering = "auto"  # on CPU a step costs a sixth of the native form, and compiles as fast
    c.preprocess.size = 64
    c.data.update({"train_clips": 1, "eval_clips": 4})
    c.augment.preset = "flip"  # 64 px leave few cells to rotate and zoom
    c.model.frame_classifier.update(
        {"backbone": "b0", "width": 0.25, "one_block": True, "drop_path": 0.0, "dropout": (0.1,)}
    )
    c.schedule.name = "cosine"
    c.early_stop.patience = c.plateau.patience = 0
