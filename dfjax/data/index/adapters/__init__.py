"""One file per data set: its folders become rows of the index. Adapters read names, not videos.

An adapter is a function `(root, **options) -> Listing`: rows made by `records.make_record`,
sentences about what the user should know (splits that leak), and a problem for every entry or file
that could not be taken as the data set says. Modules are imported when asked for.
"""

import functools
import importlib
from collections.abc import Callable
from typing import NamedTuple

from dfjax.data.index.adapters.listing import Listing
from dfjax.errors import unknown

TFDS = "tfds:"
"""What the name of a TFDS data set begins with."""


class Adapter(NamedTuple):
    """Where an adapter is, and the options it takes beside the root."""

    module: str
    function: str
    options: tuple[str, ...] = ()


_DEALING = ("dataset", "ratios", "seed", "fake_pattern")
ADAPTERS = {
    "ffpp": Adapter("ffpp", "list_ffpp", ("compression",)),
    "dfd": Adapter("dfd", "list_dfd", ("compression",)),
    "celebdf": Adapter("celebdf", "list_celebdf", ("variant",)),
    "dfdc": Adapter("dfdc", "list_dfdc"),
    "dfdcp": Adapter("dfdcp", "list_dfdcp"),
    "deeperforensics": Adapter("deeperforensics", "list_deeperforensics"),
    "ffiw": Adapter("ffiw", "list_ffiw"),
    "uadfv": Adapter("uadfv", "list_uadfv"),
    "wilddeepfake": Adapter("wilddeepfake", "list_wilddeepfake"),
    "df40": Adapter("df40", "list_df40"),
    "deepfakebench": Adapter("deepfakebench", "list_deepfakebench", ("table", "out")),
    "folder": Adapter("folder", "list_folder", _DEALING),
    "frames": Adapter("folder", "list_frames", _DEALING),
    "csv": Adapter("csv_table", "list_csv", ("table", "dataset")),
}
ALIASES = {f"celebdf_{name}": name for name in ("v1", "v2", "pp")}


def find_adapter(name: str) -> tuple[Callable[..., Listing], tuple[str, ...]]:
    """Returns the function of an adapter and the options it takes; `out` is the index's folder.

    Args:
        name: a key of `ADAPTERS`, `celebdf_v1`, `celebdf_v2`, `celebdf_pp`, or `tfds:NAME`.

    Raises:
        UsageError: there is no such adapter.
    """
    if name.startswith(TFDS) and name != TFDS:
        adapter, fixed = Adapter("tfds_name", "list_tfds", ("out",)), {"name": name[len(TFDS) :]}
    elif name in ALIASES:
        adapter, fixed = Adapter("celebdf", "list_celebdf"), {"variant": ALIASES[name]}
    elif name in ADAPTERS:
        adapter, fixed = ADAPTERS[name], {}
    else:
        raise unknown("adapter", name, (*ADAPTERS, *ALIASES, f"{TFDS}NAME"))
    module = importlib.import_module(f"dfjax.data.index.adapters.{adapter.module}")
    return functools.partial(getattr(module, adapter.function), **fixed), adapter.options
