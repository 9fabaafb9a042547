"""Checks of the configs of generators, which restore clips."""

from ml_collections import ConfigDict

from dfjax.errors import UsageError
from dfjax.models.backbones import find_backbone
from dfjax.models.registry import find_entry, full_options, input_extras, input_streams

OBJECTIVE = "restoration"
"""Value of `loss.name` for generators."""

METRICS = ("loss", "l1", "psnr", "psnr_gain", "ssim")
"""Validation metrics of generators."""

CENTRED = (0.5, 0.5, 0.5)
"""`preprocess.mean` and `preprocess.std` of generators, whose values are in [-1, 1]."""


def is_generator(config: ConfigDict) -> bool:
    """Returns whether the model of a config restores clips.

    Raises:
        UsageError: The model is unknown.
    """
    return find_entry(config.model.name).generates


def check_generator(config: ConfigDict) -> None:
    """Checks the settings of a generator for errors that would only be found during the run.

    Raises:
        UsageError: The discriminator or a network of the loss is unknown, or settings contradict
            each other.
    """
    data, loss = config.data, config.loss
    _check_discriminator(config)
    if loss.name != OBJECTIVE:
        raise UsageError(f"{config.model.name} is a generator: set loss.name={OBJECTIVE}")
    if data.pairing != "source":
        raise UsageError(f"{config.model.name} is trained on pairs: set data.pairing=source")
    if (tuple(config.preprocess.mean), tuple(config.preprocess.std)) != (CENTRED, CENTRED):
        raise UsageError(
            f"{config.model.name} works on values in [-1, 1]: set preprocess.mean={CENTRED} "
            f"preprocess.std={CENTRED}"
        )
    if loss.flow_consistency.weight and not (data.flow and data.frames > 1):
        raise UsageError(
            "loss.flow_consistency compares frames along optical flow: set data.flow=True and "
            "data.frames to 2 or more, or loss.flow_consistency.weight=0"
        )
    if not any(loss[term].weight for term in ("restoration", "perceptual", "adversarial")):
        raise UsageError(
            "nothing trains the generator: the weights of loss.restoration, loss.perceptual and "
            "loss.adversarial are all 0"
        )
    find_backbone(loss.perceptual.backbone)
    for key, neutral in (
        ("data.features", ""),
        ("data.self_blend", 0.0),
        ("data.hard_mining", 0.0),
        ("data.shuffle_labels", False),
        ("mix.mixup", 0.0),
        ("mix.cutmix", 0.0),
        ("loss.temporal", 0.0),
        ("loss.method", 0.0),
        ("loss.mask", 0.0),
        ("adapter.name", "none"),
        ("optimizer.sam_radius", 0.0),
        ("train.batch_norm", "global"),
        ("train.gradient_dtype", "auto"),
    ):
        section, leaf = key.split(".")
        if config[section][leaf] != neutral:
            raise UsageError(f"{key} is for detectors: with a generator, set {key}={neutral}")


def _check_discriminator(config: ConfigDict) -> None:
    """Checks that the discriminator reads frames, and that they are large enough for it."""
    name = config.model.discriminator
    if not name:
        raise UsageError(f"{config.model.name} needs a discriminator: set model.discriminator")
    options = discriminator_options(config)
    full_options(name, options)
    streams = input_streams(name, config.preprocess.size, **options)
    if find_entry(name).generates or list(streams) != ["rgb"] or input_extras(name, **options):
        raise UsageError(f"model.discriminator={name} does not judge frames: use patch_gan")


def discriminator_options(config: ConfigDict) -> dict[str, object]:
    """Returns the options of the discriminator of a config.

    Raises:
        UsageError: The discriminator is unknown.
    """
    find_entry(config.model.discriminator)
    options: dict[str, object] = config.model[config.model.discriminator].to_dict()
    return options


def check_detector(config: ConfigDict) -> None:
    """Checks that a detector has no settings of generators.

    Raises:
        UsageError: It has.
    """
    if config.data.pairing == "source":
        raise UsageError("data.pairing=source is for generators: set none, balanced or paired")
