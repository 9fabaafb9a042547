"""The values that each key of a config can have: one table, applied in one place.

`RANGES` has an entry for every key of `dfjax.config.base()` but the options of models, which are in
`config_model_ranges` by their names. What depends on the data, on the devices or on several keys is
checked in `experiment/config_check.py`.

The largest values are far above those in use. They refuse what no machine can compute, such as a
batch of a thousand million clips, before anything is made for it.
"""

from typing import Any

from ml_collections import ConfigDict

from dfjax.config_checks import (
    BELOW_ONE,
    BETA,
    CLIPS,
    COUNT,
    FACTOR,
    OPERATION,
    PIXELS,
    POSITIVE,
    SHARE,
    Check,
    alternatives,
    choice,
    devices,
    each,
    either,
    flag,
    fold,
    number,
    optional,
    pair,
    pattern,
    phases,
    plain,
    show,
    text,
    whole,
)
from dfjax.config_model_ranges import MODEL_RANGES
from dfjax.config_overrides import leaves
from dfjax.data.transforms.augment_presets import PRESETS
from dfjax.errors import UsageError
from dfjax.files import as_tuple

RANGES: dict[str, Check] = {
    "name": text,
    "seed": whole(0, 2**63 - 1),
    "precision": choice("float32", "bfloat16"),
    "lowering": choice("auto", "native", "matmul"),
    "phases": phases,
    "profile": text,
    "data.path": text,
    "data.features": text,
    "data.synthetic.videos": whole(0, 10**6),
    "data.synthetic.identities": whole(0, 10**5),
    "data.synthetic.frames": whole(1, 10_000),
    "data.synthetic.size": whole(16, 4096),
    "data.fold": fold,
    "data.crop_size": whole(0, 16_384),
    "data.frames": whole(1, 4096),
    "data.sampling": text,
    "data.stride": whole(1, 10**6),
    "data.pad": choice("end", "random", "centre"),
    "data.train_clips": whole(1, 10_000),
    "data.eval_clips": whole(0, 10_000),
    "data.flow": flag,
    "data.pairing": choice("auto", "none", "balanced", "paired", "source"),
    "data.balance_datasets": flag,
    "data.self_blend": SHARE,
    "data.hard_mining": SHARE,
    "data.holdout_methods": each(text),
    "data.shuffle_labels": flag,
    "data.workers": whole(0, 1024),
    "data.threads": whole(1, 1024),
    "data.prefetch": whole(0, 1024),
    "crops.detector": optional(text),
    "crops.detector_sha256": optional(text),
    "crops.margin": optional(number(0, 100, above=True)),
    "crops.align": optional(flag),
    "crops.size": optional(whole(0, 16_384)),
    "crops.jpeg_quality": optional(whole(0, 100)),
    "crops.faces": optional(text),
    "crops.flow_method": optional(text),
    "crops.frames": optional(COUNT),
    "crops.every": optional(COUNT),
    "crops.min_face": optional(COUNT),
    "crops.min_quality": each(pair(text, number(-1e9, 1e9), "(('sharpness', 20.0),)")),
    "preprocess.size": PIXELS,
    "preprocess.mean": each(number(-1000, 1000), 3),
    "preprocess.std": each(number(1e-6, 1000), 3),
    "augment.preset": choice(*PRESETS),
    "augment.crop": OPERATION,
    "augment.rotate": OPERATION,
    "augment.zoom": OPERATION,
    "augment.translate": OPERATION,
    "augment.flip": OPERATION,
    "augment.brightness": OPERATION,
    "augment.offset": OPERATION,
    "augment.contrast": OPERATION,
    "augment.saturation": OPERATION,
    "augment.hue": OPERATION,
    "augment.rgb": OPERATION,
    "augment.fancy_pca": OPERATION,
    "augment.hsv": OPERATION,
    "augment.blur": OPERATION,
    "augment.rescale": OPERATION,
    "augment.noise": OPERATION,
    "augment.jpeg": OPERATION,
    "augment.erase": OPERATION,
    "augment.one_of": alternatives,
    "mix.mixup": BETA,
    "mix.cutmix": BETA,
    "mix.probability": SHARE,
    "mix.segment": flag,
    "model.name": text,
    "model.discriminator": text,
    "loss.name": text,
    "loss.class_weights": text,
    "loss.temporal": FACTOR,
    "loss.method": FACTOR,
    "loss.mask": FACTOR,
    "loss.uniformity": FACTOR,
    "loss.alignment": FACTOR,
    "loss.orthogonality": FACTOR,
    "loss.singular_values": FACTOR,
    "loss.bce.smoothing": BELOW_ONE,
    "loss.cross_entropy.smoothing": BELOW_ONE,
    "loss.focal.gamma": number(0, 100),
    "loss.focal.alpha": either(-1.0, SHARE),
    "loss.focal.smoothing": BELOW_ONE,
    "loss.supcon.temperature": number(0, 1000, above=True),
    "loss.restoration.weight": FACTOR,
    "loss.perceptual.weight": FACTOR,
    "loss.perceptual.backbone": text,
    "loss.perceptual.file": text,
    "loss.perceptual.width": number(0, 16, above=True),
    "loss.adversarial.weight": FACTOR,
    "loss.adversarial.kind": choice("hinge", "lsgan", "bce"),
    "loss.adversarial.r1": FACTOR,
    "loss.flow_consistency.weight": FACTOR,
    "loss.critic.weight": FACTOR,
    "loss.critic.detector": text,
    "loss.critic.model": text,
    "adapter.name": choice("none", "lora", "svd"),
    "adapter.kernels": each(pattern),
    "adapter.rank": whole(1, 10**5),
    "adapter.alpha": number(0, 1e6, above=True),
    "optimizer.name": choice("adam", "adamw", "sgd"),
    "optimizer.learning_rate": number(0, 1000),
    "optimizer.b1": BELOW_ONE,
    "optimizer.b2": BELOW_ONE,
    "optimizer.eps": number(0, 1, above=True),
    "optimizer.momentum": BELOW_ONE,
    "optimizer.weight_decay": number(0, 1000),
    "optimizer.no_decay": each(pattern),
    "optimizer.clip_norm": number(0, 1e6),
    "optimizer.sam_radius": number(0, 1000),
    "optimizer.freeze": each(pattern),
    "optimizer.multipliers": each(pair(pattern, number(0, 1e6), "(('hq/', 0.1),)")),
    "schedule.name": choice("constant", "linear", "cosine", "restarts"),
    "schedule.warmup_steps": COUNT,
    "schedule.hold": SHARE,
    "schedule.final_scale": SHARE,
    "schedule.period": COUNT,
    "plateau.metric": text,
    "plateau.mode": choice("min", "max"),
    "plateau.patience": COUNT,
    "plateau.rule": choice("torch", "keras"),
    "plateau.factor": number(0, 1, above=True),
    "plateau.floor": SHARE,
    "init.backbone": text,
    "init.hq": text,
    "init.lq": text,
    "init.rgb": text,
    "train.init_from": text,
    "train.freeze_random": flag,
    "train.batch_size": CLIPS,
    "train.accumulate": CLIPS,
    "train.epochs": whole(1, 10**6),
    "train.log_every": POSITIVE,
    "train.ema_decay": BELOW_ONE,
    "train.batch_norm": devices,
    "train.gradient_dtype": choice("auto", "float32", "bfloat16"),
    "train.max_skipped": COUNT,
    "eval.batch_size": CLIPS,
    "eval.min_face_share": SHARE,
    "early_stop.metric": text,
    "early_stop.mode": choice("min", "max"),
    "early_stop.patience": COUNT,
    "early_stop.min_epochs": COUNT,
    "checkpoint.every_steps": POSITIVE,
    "checkpoint.keep": whole(1, 10_000),
    "mesh.data": either(-1, whole(1, 10**6)),
    "mesh.fsdp": whole(1, 10**6),
    "mesh.tensor": whole(1, 10**6),
    "writers.tensorboard": flag,
    "writers.mlflow": flag,
}


def find_check(key: str) -> Check:
    """Returns the check of a key of the schema."""
    if key.startswith(("model.custom.", "loss.custom.")):
        return plain
    if key.startswith("model.") and key.count(".") > 1:
        return MODEL_RANGES[key.rpartition(".")[2]]
    return RANGES[key]


def check_ranges(config: ConfigDict) -> None:
    """Checks every value of a config by itself.

    Raises:
        UsageError: A value has the wrong type, is out of its range or is not one of the names.
    """
    for key, value in leaves(config).items():
        find_check(key)(key, value)


def fill_section(section: ConfigDict, values: dict[str, Any], prefix: str = "") -> None:
    """Sets the values of a section and of the sections in it, each checked by its key.

    Args:
        section: Section of a config, changed in place.
        values: Values of its keys, as `config.json` has them.
        prefix: Name of the section with a dot, empty for the whole config.

    Raises:
        UsageError: A key is unknown, or a value has the wrong type or is out of its range.
    """
    is_custom = prefix in ("model.custom.", "loss.custom.")
    for leaf, value in values.items():
        key = prefix + leaf
        if leaf not in section and (not is_custom or "." in leaf):
            raise UsageError(f"it has the key {key!r:.80}, which this version does not know")
        if isinstance(section.get(leaf), ConfigDict):
            if not isinstance(value, dict):
                raise UsageError(f"{key} must be a section, not {show(value)}")
            fill_section(section[leaf], value, f"{key}.")
        else:
            find_check(key)(key, as_tuple(value))
            try:
                section[leaf] = as_tuple(value)
            except (TypeError, ValueError) as error:
                raise UsageError(f"{key} cannot be {show(value)}: {error}") from error
