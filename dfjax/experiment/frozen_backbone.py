"""Frozen backbones, which compute stored features: building, saving and opening them."""

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
"""Key of the record: the workdir in which the parameters were trained, or an empty text."""


@dataclasses.dataclass(frozen=True)
class FrozenBackbone:
    """A backbone with fixed parameters, which computes features of crops.

    Attributes:
        fns: Functions of the backbone.
        variables: Parameters and moving averages of the backbone.
        preprocess: Function that turns u8 crops into its input images.
        record: Content of `features.json` that describes it.
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
    """Returns a backbone with a new record.

    Args:
        name: Name of the architecture.
        options: Options `width`, `one_block` and `padding`; missing ones have their defaults.
        parameters: Variables of the backbone, or a seed for random ones.
        origin: Description of where the parameters come from.
        preprocess: `size`, `mean` and `std` of the input images.
        precision_name: Precision of the activations, as in `config.precision`.
        trained_in: Workdir in which the parameters were trained, or an empty text.

    Raises:
        UsageError: The name is unknown, or the parameters do not fit the architecture.
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


def restore(
    record: dict[str, Any],
    parameters: Variables | int,
    *,
    source: str,
    lowering: str = "auto",
) -> FrozenBackbone:
    """Returns the backbone that a record describes.

    Args:
        record: Content of `features.json`.
        parameters: Variables of the backbone, or a seed for random ones.
        source: Name of the file of the parameters, for messages.
        lowering: Lowering of the convolutions; see `dfjax.ops.lowering`.

    Raises:
        UsageError: The parameters do not fit the architecture, or are not those of the record.
    """
    options = dict(record["backbone"])
    dtype = precision.compute_dtype(record["precision"])
    fns = build_backbone(options.pop("name"), dtype=dtype, lowering=lowering, **options)
    image = jax.ShapeDtypeStruct((1, *[record["preprocess"]["size"]] * 2, 3), jnp.float32)
    if isinstance(parameters, int):
        # The program runs once; on CPU compiling it would take longer than running it.
        on_cpu = jax.default_backend() == "cpu"
        compiler_options = {"xla_backend_optimization_level": 0} if on_cpu else None
        init = jax.jit(fns.init, compiler_options=compiler_options)
        variables = init(jax.random.key(parameters), jnp.zeros(image.shape))
    else:
        own = jax.eval_shape(fns.init, jax.random.key(0), image)
        merged = merge(own, parameters, source=source)
        if merged.kept:
            raise UsageError(f"{source} lacks {len(merged.kept)} parameters: {merged.kept[0]} …")
        variables = jax.device_put(merged.variables)  # here, so that it is not done for every batch
    digest = hash_variables(variables)
    if record.get("parameters_sha256", digest) != digest:
        raise UsageError(f"the parameters in {source} are not those that {RECORD} describes")
    p = record["preprocess"]
    preprocess = make_preprocess({STREAM: p["size"]}, mean=p["mean"], std=p["std"])
    return FrozenBackbone(fns, variables, preprocess, record | {"parameters_sha256": digest})


def open_backbone(folder: Path) -> FrozenBackbone:
    """Returns the backbone that is stored in a workdir or a feature pack.

    Raises:
        UsageError: The files are missing or damaged.
    """
    record = read_record(folder)
    variables, _ = load_safetensors(folder / PARAMETERS)
    return restore(record, variables, source=str(folder / PARAMETERS))


def save_backbone(backbone: FrozenBackbone, folder: Path) -> None:
    """Writes the parameters of a backbone to a folder atomically, unless the file exists."""
    if not (folder / PARAMETERS).is_file():
        with atomic_path(folder / PARAMETERS) as partial:
            save_safetensors(partial, backbone.variables, metadata=backbone.record)


def hash_variables(variables: Variables) -> str:
    """Returns a hash of the paths, dtypes, shapes and values of all variables."""
    digest = hashlib.sha256()
    for path, array in sorted(flatten(variables).items()):
        digest.update(f"{path} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
