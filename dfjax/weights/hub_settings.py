"""What the files beside weights of the Hugging Face Hub tell: `config.json`, and of the input.

Networks with the same keys and shapes compute something else with another activation, another
constant of layer normalisation, another number of attention heads or another base of rotary
positions. The arrays do not tell these, `config.json` does.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dfjax.errors import FileError, UsageError
from dfjax.json_files import read_json
from dfjax.weights.convention import ONE, RGB, ZERO, Convention
from dfjax.weights.origin import Network

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
NESTED = "vision_config"
"""Section of the image tower in the `config.json` of a whole CLIP."""

WIDTH, HEADS = "hidden_size", "num_attention_heads"
LARGEST = 1_000_000  # larger numbers are compared with nothing: they may overflow a float
DEFAULTS = {"clip": {"hidden_act": "quick_gelu"}, "gend": {"head": "linear"}}
"""What a `config.json` means where it lacks a key that tells networks with the same arrays apart,
by family."""

MAX_BYTES = 1 << 20
PREPROCESSOR_SCHEMA = {
    "do_normalize?": (bool, None),
    "image_mean?": ([float], None),
    "image_std?": ([float], None),
}

Values = Mapping[str, Any]


class Input(NamedTuple):
    """The normalisation of the images that weights expect.

    Attributes:
        values: `mean` and `std` of RGB values in [0, 1]; what the file does not tell is missing.
        notes: What is assumed without the file.
    """

    values: dict[str, RGB]
    notes: tuple[str, ...]


def read_beside(
    path: Path, name: str, networks: Mapping[str, Network], **options: Any
) -> tuple[Values, tuple[str, ...]]:
    """Returns the input that the caller or the files beside weights tell, and notes.

    Args:
        path: Weights file.
        name: Name of the network that the weights are for.
        networks: Networks of the program, by name.
        options: `mean`, `std` and `size` that the caller gives; None for what a file tells.

    Raises:
        UsageError: A file cannot be read, or the weights are for another network.
    """
    given = {key: value for key, value in options.items() if value is not None}
    if not networks[name].hub_config:
        return given, ()
    family = name.partition("_")[0]
    alike = {n: other.hub_config for n, other in networks.items() if n.partition("_")[0] == family}
    notes = compare_config(path, name, alike)
    if {"mean", "std"} <= given.keys():
        return given, notes
    told = read_input(path, next(iter(networks[name].conventions.values())))
    return told.values | given, notes + told.notes


def compare_config(path: Path, name: str, networks: Mapping[str, Values]) -> tuple[str, ...]:
    """Compares the `config.json` beside a weights file with a network, and returns notes.

    They tell what is assumed without the file, or without some keys in it but those of `DEFAULTS`.

    Args:
        path: Weights file.
        name: Name of the network that the weights are for.
        networks: Values by key, of this network and of those that the file may be for instead. The
            number of heads is not compared where the file has another width (`hidden_size`): that
            of a narrower network, or a mistake that the shapes show.

    Raises:
        FileError: The file cannot be read or is too large.
        UsageError: A value differs.
    """
    found = _read(path.parent / CONFIG, {str: object})
    if found is None:
        return (f"there is no {CONFIG} beside the file: {_assume(networks[name])}",)
    nested = found.get(NESTED)
    settings = found | nested if isinstance(nested, dict) else found
    if not isinstance(nested, dict) and not networks[name].keys() & settings.keys():
        return (f"{CONFIG} beside the file is of something else: {_assume(networks[name])}",)
    settings = DEFAULTS.get(name.partition("_")[0], {}) | settings
    different = _find_difference(settings, networks[name])
    if different is None:
        lacking = {key: v for key, v in networks[name].items() if key not in settings}
        if lacking.keys() <= {WIDTH}:
            return ()
        return (f"{CONFIG} beside the file is incomplete: {_assume(lacking)}",)
    fitting = [n for n, wanted in networks.items() if _find_difference(settings, wanted) is None]
    hint = f" (its values are those of {' and '.join(fitting)})" if fitting else ""
    key, value = different
    raise UsageError(
        f"{path.parent / CONFIG} has {key}={_show(settings[key])}, and {name} has {_show(value)}: "
        f"the weights are of another network{hint}"
    )


def _assume(values: Values) -> str:
    shown = ", ".join(f"{key}={_show(value)}" for key, value in values.items() if key != WIDTH)
    return f"assumed are {shown}"


def _find_difference(settings: Values, wanted: Values) -> tuple[str, Any] | None:
    """Returns the first key in which a file differs from a network, and the network's value."""
    for key, value in wanted.items():
        narrow = settings.get(WIDTH, wanted.get(WIDTH)) != wanted.get(WIDTH)
        compared = key in settings and key != WIDTH and not (key == HEADS and narrow)
        if compared and not _is_same(settings[key], value):
            return key, value
    return None


def read_input(path: Path, usual: Convention) -> Input:
    """Returns what the `preprocessor_config.json` beside a weights file tells of its input.

    Args:
        path: Weights file.
        usual: Convention that is assumed without such a file.

    Raises:
        FileError: The file cannot be read or is too large, or a value is not three finite numbers,
            for `image_std` positive ones.
    """
    file = path.parent / PREPROCESSOR
    found = _read(file, PREPROCESSOR_SCHEMA)
    if found is None:
        shown = f"mean={_show(usual.mean)} std={_show(usual.std)}"
        return Input({}, (f"there is no {PREPROCESSOR} beside the file: assumed are {shown}",))
    if found.get("do_normalize") is False:
        return Input({"mean": ZERO, "std": ONE}, ())
    values: dict[str, RGB] = {}
    notes = []
    for name in ("mean", "std"):
        numbers = found.get(f"image_{name}")
        if numbers is None:
            assumed = _show(getattr(usual, name))
            notes.append(f"{PREPROCESSOR} has no image_{name}: assumed is {assumed}")
            continue
        valid = len(numbers) == 3 and all(map(math.isfinite, numbers))
        if not valid or (name == "std" and min(numbers) <= 0):
            raise FileError(f"{file} has image_{name}={_show(numbers)}, not a value per channel")
        red, green, blue = map(float, numbers)
        values[name] = (red, green, blue)
    return Input(values, tuple(notes))


def _read(file: Path, schema: Any) -> Any:
    """Returns the content of a file, or None if there is none."""
    if not file.exists():
        return None
    if (size := file.stat().st_size) > MAX_BYTES:
        raise FileError(f"{file} has {size} bytes; at most {MAX_BYTES} are read")
    return read_json(file, schema)


def _is_same(found: Any, wanted: Any) -> bool:
    if isinstance(found, list):  # a value per axis
        return bool(found) and all(_is_same(value, wanted) for value in found)
    if isinstance(wanted, str) or not isinstance(found, int | float):
        return bool(found == wanted)
    return -LARGEST < found < LARGEST and math.isclose(found, wanted, rel_tol=1e-6)


def _show(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{value!s:.60}"
