"""The two small variants of every config: `:smoke` and `:tiny`.

Both can be trained on the CPU of a laptop. They use synthetic faces of 64 px, a quarter of the
width of the model and one block per stage. `:smoke` checks in less than a minute that a config
runs. `:tiny` trains a useful detector in minutes and has the size of the demo. All values here are
our own choice.
"""

from ml_collections import ConfigDict


def use_variant(config: ConfigDict, variant: str) -> None:
    """Sets the keys of a config that the variants `:smoke` and `:tiny` change.

    A config file calls this after its own settings, and then sets further keys of its model.

    Args:
        config: Complete config, which is changed in place.
        variant: `smoke`, `tiny`, or an empty text for no change.
    """
    if not variant:
        return
    config.precision = "float32"
    config.preprocess.size = 64
    config.augment.preset = "flip"  # 64 px leave few cells to rotate, crop, blur or erase
    config.mix.update({"mixup": 0.0, "cutmix": 0.0})
    config.data.update({"stride": 1, "balance_datasets": False})
    options = config.model[config.model.name]
    small = {"width": 0.25, "one_block": True, "drop_path": 0.0}
    options.update({key: value for key, value in small.items() if key in options})
    config.optimizer.update({"learning_rate": 2e-3, "clip_norm": 1.0})
    config.schedule.name = "cosine"
    config.early_stop.patience = config.plateau.patience = 0
    single_frames = config.data.frames == 1
    (_use_smoke if variant == "smoke" else _use_tiny)(config, single_frames)


def use_small_vit(config: ConfigDict, variant: str) -> None:
    """Sets the keys that the small variants of a frame classifier on CLIP change further.

    CLIP's weights do not fit a small network, so that all parameters are trained, from random ones.

    Args:
        config: Config after `use_variant`, which is changed in place.
        variant: `smoke`, `tiny`, or an empty text for no change.
    """
    if not variant:
        return
    config.model.frame_classifier.update(
        {"backbone": "clip_t8", "width": 1.0, "one_block": variant == "smoke"}
        | {"scan_blocks": False}
    )
    config.optimizer.update({"freeze": (), "learning_rate": 1e-3})
    if variant == "tiny":
        config.schedule.warmup_steps = 200
        # Three times the steps of other networks: otherwise `warp` is not learned.
        config.train.update({"batch_size": 16, "epochs": 30, "ema_decay": 0.998})
        config.data.eval_clips = 12  # all frames of a synthetic video


def _use_smoke(config: ConfigDict, single_frames: bool) -> None:
    config.data.synthetic.update({"videos": 16, "identities": 8})
    config.train.update({"batch_size": 8, "epochs": 2, "log_every": 1})
    config.eval.batch_size = 8
    if single_frames:
        config.data.update({"train_clips": 1, "eval_clips": 2})
    else:
        config.data.frames = 4


def _use_tiny(config: ConfigDict, single_frames: bool) -> None:
    # With fewer videos models overfit: 700 videos of 100 people gave a validation AUC of 0.66.
    config.data.synthetic.update({"videos": 2000, "identities": 200})
    if single_frames:
        # Half of the frames of a fake show no forgery, so more frames and pairs are needed.
        config.data.update({"pairing": "auto", "train_clips": 4, "eval_clips": 4})
        config.train.update({"batch_size": 32, "epochs": 20})
    else:
        config.data.eval_clips = 1
        config.train.update({"batch_size": 16, "epochs": 10})
