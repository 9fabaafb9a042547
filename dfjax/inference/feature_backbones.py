"""Frozen backbones for stored features: random, from a weights file, or of a trained detector."""

from pathlib import Path
from typing import Any

from dfjax.config import model_options
from dfjax.errors import UsageError
from dfjax.experiment.backbone_files import read_backbone
from dfjax.experiment.frozen_backbone import FrozenBackbone, make_frozen
from dfjax.import_paths import allow_import, is_import_path
from dfjax.inference.detector import load
from dfjax.models.bn_constants import AUTO
from dfjax.models.entry import BackbonePart
from dfjax.models.frame_features import BACKBONE, STREAM
from dfjax.schema import PREPROCESS

OPTIONS = ("width", "one_block", "padding", "bn")
"""Options of a backbone, besides its name, that affect its parameters or its features."""


def make_backbone(
    *,
    workdir: Path | None = None,
    checkpoint: str = "best",
    backbone: str | None = None,
    weights: Path | None = None,
    size: int | None = None,
    width: float | None = None,
    one_block: bool | None = None,
    padding: str | None = None,
    seed: int | None = None,
) -> FrozenBackbone:
    """Returns the backbone of a trained detector, or the one that the other arguments describe.

    Args:
        workdir: Workdir of the detector.
        checkpoint: `best` or `last`, where `workdir` is given.
        backbone: Name or import path of the architecture; None for `b0`.
        weights: Safetensors file with its parameters; None for random parameters.
        size: Side of its input images in pixels; None for that in the header of `weights`, or 224.
        width: Factor of its numbers of channels; None for 1.
        one_block: Whether each stage has one block only, for tests; None for False.
        padding: Padding convention; None for that of the architecture.
        seed: Seed of random parameters; None for 0.

    Raises:
        UsageError: Arguments contradict each other, or the parameters are those of another
            architecture.
    """
    described: dict[str, Any] = {
        "backbone": backbone, "weights": weights, "size": size, "width": width,
        "one_block": one_block, "padding": padding, "seed": seed,
    }  # fmt: skip
    given = [key for key, value in described.items() if value is not None]
    if workdir:
        if given:
            raise UsageError(
                f"{given[0]} cannot be combined with workdir, which determines the backbone"
            )
        return from_workdir(workdir, checkpoint)
    for key in ("size", "width"):
        if described[key] is not None and described[key] <= 0:
            raise UsageError(f"{key} must be positive, not {described[key]}")
    if weights and seed is not None:
        raise UsageError("seed is for random parameters; it cannot be combined with weights")
    options = {key: described[key] for key in OPTIONS if key in given}
    if backbone and is_import_path(backbone):
        allow_import(backbone)
    if weights:
        return from_weights(backbone or "b0", options, weights, size)
    return draw_at_random(backbone or "b0", options, seed or 0, size)


def draw_at_random(
    name: str, options: dict[str, Any], seed: int, size: int | None
) -> FrozenBackbone:
    """Returns a backbone with random parameters.

    Args:
        name: Name of the architecture.
        options: Values of `OPTIONS`; missing ones have their defaults.
        seed: Seed of the parameters.
        size: Side of its input images in pixels; None for 224.
    """
    origin = f"random features, seed {seed}"
    return make_frozen(
        name, options, parameters=seed, origin=origin, preprocess=_default_preprocess(size)
    )


def from_weights(
    name: str, options: dict[str, Any], path: Path, size: int | None
) -> FrozenBackbone:
    """Returns a backbone with the parameters of a safetensors file.

    Args:
        name: Name of the architecture.
        options: Values of `OPTIONS`; missing ones are those of the file's origin, as are mean and
            standard deviation of the input images.
        path: File with the parameters of the backbone or of a detector that contains it.
        size: Side of its input images in pixels; None for that in the header of the file, or 224.

    Raises:
        UsageError: The file cannot be read, holds parameters of another architecture, or
            contradicts the padding.
    """
    padding = options.get("padding", AUTO)
    variables, convention = read_backbone(path, BackbonePart(BACKBONE, name, padding, AUTO))
    preprocess = _default_preprocess(size or (convention.size if convention else None))
    if convention:
        if AUTO not in (padding, convention.padding) and padding != convention.padding:
            raise UsageError(
                f"padding={padding} contradicts {path}, whose parameters were trained with "
                f"padding={convention.padding}"
            )
        options = options | {"bn": convention.bn}
        if padding == AUTO:
            options["padding"] = convention.padding
        preprocess |= {"mean": list(convention.mean), "std": list(convention.std)}
    return make_frozen(
        name,
        options,
        parameters=variables,
        origin=f"weights of {path.name}",
        preprocess=preprocess,
    )


def from_workdir(workdir: Path, checkpoint: str) -> FrozenBackbone:
    """Returns the backbone of a trained detector, with its preprocessing.

    Args:
        workdir: Workdir of the detector.
        checkpoint: `best` or `last`.

    Raises:
        UsageError: The folder is not a workdir, its model has no part `backbone`, or that reads
            further streams beside RGB.
    """
    detector = load(workdir, checkpoint)
    config = detector.config
    options = model_options(config).to_dict()
    if options.get("features"):
        raise UsageError(f"{workdir} was trained on stored features, so it has no own backbone")
    if BACKBONE not in detector.variables["params"] or BACKBONE not in options:
        raise UsageError(
            f"the model of {workdir}, {config.model.name}, has no single frame backbone; "
            "frame_classifier and clip_detector have one"
        )
    if options.get("streams", (STREAM,)) != (STREAM,):
        raise UsageError(
            f"the backbone of {workdir} reads the streams {', '.join(options['streams'])}; stored "
            "features are computed from RGB alone"
        )
    p = config.preprocess
    return make_frozen(
        options[BACKBONE],
        {key: options[key] for key in OPTIONS},
        parameters={key: tree[BACKBONE] for key, tree in detector.variables.items()},
        origin=f"{config.name}, checkpoint {detector.checkpoint}",
        preprocess={"size": p.size, "mean": list(p.mean), "std": list(p.std)},
        precision_name=config.precision,
        trained_in=str(workdir.resolve()),
    )


def _default_preprocess(size: int | None) -> dict[str, Any]:
    defaults: dict[str, Any] = PREPROCESS
    mean, std = list(defaults["mean"]), list(defaults["std"])
    return {"size": size or defaults["size"], "mean": mean, "std": std}
