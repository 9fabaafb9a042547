"""Where the backbone of `dfjax data features` comes from: chance, a file, or a trained detector."""

from pathlib import Path
from typing import Any

from dfjax.config import model_options
from dfjax.errors import UsageError
from dfjax.experiment.frozen_backbone import FrozenBackbone, make_frozen
from dfjax.inference.detector import load
from dfjax.models.frame_features import BACKBONE
from dfjax.schema import PREPROCESS
from dfjax.weights.safetensors_file import load_safetensors

OPTIONS = ("width", "one_block", "padding")
"""Of a backbone, beside its name: those that its parameters, or what it computes, depend on."""


def draw_at_random(name: str, options: dict[str, Any], seed: int, size: int) -> FrozenBackbone:
    """Returns a backbone that was never trained: its features are random ones."""
    origin = f"random features, seed {seed}"
    return make_frozen(
        name, options, parameters=seed, origin=origin, preprocess=_default_preprocess(size)
    )


def from_weights(name: str, options: dict[str, Any], path: Path, size: int) -> FrozenBackbone:
    """Returns a backbone with the parameters of a safetensors file: its own, or a detector's.

    Raises:
        UsageError: not such a file, or of another architecture.
    """
    variables, _ = load_safetensors(path)
    if BACKBONE in variables["params"]:
        variables = {key: tree[BACKBONE] for key, tree in variables.items()}
    return make_frozen(
        name,
        options,
        parameters=variables,
        origin=f"weights of {path.name}",
        preprocess=_default_preprocess(size),
    )


def from_workdir(workdir: Path, checkpoint: str) -> FrozenBackbone:
    """Returns the backbone of a trained detector, with its preprocessing.

    Raises:
        UsageError: not a workdir, or its model has no part `backbone`.
    """
    detector = load(workdir, checkpoint)
    config = detector.config
    options = model_options(config).to_dict()
    if options.get("features"):
        raise UsageError(f"{workdir} was trained on stored features: it has trained no backbone")
    if BACKBONE not in detector.variables["params"] or BACKBONE not in options:
        raise UsageError(
            f"{workdir} is a {config.model.name}, which has no single frame backbone; "
            "frame_classifier and clip_detector have"
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


def _default_preprocess(size: int) -> dict[str, Any]:
    defaults: dict[str, Any] = PREPROCESS
    return {"size": size, "mean": list(defaults["mean"]), "std": list(defaults["std"])}
