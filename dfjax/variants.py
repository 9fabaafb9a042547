"""The two small sizes that every config has: `:smoke` and `:tiny`.

Both train on a laptop's CPU, on drawn faces of 64 px, with a quarter of the model's width and one
block per stage. `:smoke` checks that a config runs, in less than a minute; `:tiny` learns, in
minutes, and is the size of the demo. All values here are ours.
"""

from ml_collections import ConfigDict


def use_variant(config: ConfigDict, variant: str) -> None:
    """Sets what `:smoke` or `:tiny` changes in any config; changes nothing without a variant.

    A config calls this after its own settings, and then sets what else its model needs.

    Args:
        config: Complete config of one experiment, changed in place.
        variant: `smoke`, `tiny` or empty.
    """
    if not variant:
        return
    config.precision = "float32"
    config.preprocess.size = 64
    config.augment.preset = "flip"  # 64 px leave few cells to rotate, crop, blur or erase
    config.mix.update({"mixup": 0.0, "cutmix": 0.0})
    config.data.update({"stride": 1, "balance_datasets": False})
    config.model[config.model.name].update({"width": 0.25, "one_block": True, "drop_path": 0.0})
    config.optimizer.update({"learning_rate": 2e-3, "clip_norm": 1.0})
    config.schedule.name = "cosine"
    config.early_stop.patience = config.plateau.patience = 0
    single_frames = config.data.frames == 1
    (_use_smoke if variant == "smoke" else _use_tiny)(config, single_frames)


def _use_smoke(config: ConfigDict, single_frames: bool) -> None:
    config.data.synthetic.update({"videos": 16, "identities": 8})
    config.train.update({"batch_size": 8, "epochs": 2, "log_every": 1})
    config.eval.batch_size = 8
    if single_frames:
        config.data.update({"train_clips": 1, "eval_clips": 2})
    else:
        config.data.frames = 4


def _use_tiny(config: ConfigDict, single_frames: bool) -> None:
    # Few videos are learnt by heart: 700 videos of 100 people gave a validation AUC of 0.66.
    config.data.synthetic.update({"videos": 2000, "identities": 200})
    if single_frames:
        # A frame shows a forgery half of the time: many frames, and its real twin beside each.
        config.data.update({"pairing": "paired", "train_clips": 4, "eval_clips": 4})
        config.train.update({"batch_size": 32, "epochs": 20})
    else:
        config.data.eval_clips = 1
        config.train.update({"batch_size": 16, "epochs": 10})
