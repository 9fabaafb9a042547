"""Backbones that stored features come from: where their parameters are, and how they are kept."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import dfjax
from dfjax import precision
from dfjax.data.store.feature_pack import PARAMETERS, RECORD, read_record
from dfjax.data.transforms.preprocess import make_preprocess
from dfjax.errors import UsageError
from dfjax.files import atomic_path
from dfjax.models.backbones import backbone_channels
from dfjax.models.frame_features import STREAM, FeatureFns, build_backbone
from dfjax.shapes import Preprocess, Variables
from dfjax.weights.merge import merge
from dfjax.weights.safetensors_file import flatten, load_safetensors, save_safetensors

TRAINED_IN = "trained_in"
"""Of the record: the workdir that the parameters are from, empty where there is none."""


@dataclasses.dataclass(frozen=True)
class FrozenBackbone:
    """A backbone with its parameters, ready to compute features of crops.

    Attributes:
        fns: its functions.
        variables: its parameters and moving averages.
        preprocess: makes its images of u8 crops.
        record: what `features.json` says of it.
    """

    fns: FeatureFns
    variables: Variables
    preprocess: Preprocess
    record: dict[str, Any]


def make_frozen(
    name: str,
    options: dict[str, Any],
    *,
    parameters: Variables | int,
    origin: str,
    preprocess: dict[str, Any],
    precision_name: str = "float32",
    trained_in: str = "",
) -> FrozenBackbone:
    """Returns a backbone with its own record.

    Args:
        name: of the architecture.
        options: `width`, `one_block` and `padding`; those left out have their defaults.
        parameters: its variables, or a seed to draw them with.
        origin: where the parameters come from, in words.
        preprocess: `size`, `mean` and `std` of its images.
        precision_name: of the activations.
        trained_in: the workdir that the parameters are from.

    Raises:
        UsageError: an unknown name, or parameters that do not fit.
    """
    record = {
        "version": dfjax.__version__,
        "backbone": {"name": name, "width": 1.0, "one_block": False, "padding": "auto"} | options,
        "features": backbone_channels(name, float(options.get("width", 1.0))),
        "parameters": origin,
        TRAINED_IN: trained_in,
        "preprocess": preprocess,
        "precision": precision_name,
    }
    return restore(record, parameters, source=origin)


def restore(record: dict[str, Any], parameters: Variables | int, *, source: str) -> FrozenBackbone:
    """Returns the backbone of a record, with these parameters or with some drawn from a seed.

    Raises:
        UsageError: parameters that do not fit, or are not those of the record.
    """
    options = dict(record["backbone"])
    dtype = precision.compute_dtype(record["precision"])
    fns = build_backbone(options.pop("name"), dtype=dtype, **options)
    image = jax.ShapeDtypeStruct((1, *[record["preprocess"]["size"]] * 2, 3), jnp.float32)
    if isinstance(parameters, int):
        # On CPU most of this program's time is its compilation, and it runs once.
        cheap = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
        init = jax.jit(fns.init, compiler_options=cheap)
        variables = init(jax.random.key(parameters), jnp.zeros(image.shape))
    else:
        own = jax.eval_shape(fns.init, jax.random.key(0), image)
        merged = merge(own, parameters, source=source)
        if merged.kept:
            raise UsageError(f"{source} lacks {len(merged.kept)} parameters: {merged.kept[0]} …")
        variables = jax.device_put(merged.variables)  # once, and not for every batch
    digest = compute_sha256(variables)
    if record.get("parameters_sha256", digest) != digest:
        raise UsageError(f"{source} holds other parameters than {RECORD} says")
    p = record["preprocess"]
    preprocess = make_preprocess({STREAM: p["size"]}, mean=p["mean"], std=p["std"])
    return FrozenBackbone(fns, variables, preprocess, record | {"parameters_sha256": digest})


def open_backbone(folder: Path) -> FrozenBackbone:
    """Returns the backbone that a workdir or a feature pack keeps.

    Raises:
        UsageError: the files are missing or damaged.
    """
    record = read_record(folder)
    variables, _ = load_safetensors(folder / PARAMETERS)
    return restore(record, variables, source=str(folder / PARAMETERS))


def save_backbone(backbone: FrozenBackbone, folder: Path) -> None:
    """Writes the parameters of a backbone to a folder, atomically, unless they are there."""
    if not (folder / PARAMETERS).is_file():
        with atomic_path(folder / PARAMETERS) as partial:
            save_safetensors(partial, backbone.variables, metadata=backbone.record)


def compute_sha256(variables: Variables) -> str:
    """Returns a hash of all parameters: paths, shapes and values."""
    digest = hashlib.sha256()
    for path, array in sorted(flatten(variables).items()):
        digest.update(f"{path} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
