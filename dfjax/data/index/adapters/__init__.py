"""Adapters: the folders of a data set become rows of the index. They read names, not videos.

An adapter is a function `(root, **options) -> Listing`. Its rows are made by `records.make_record`,
its notes are sentences for the user (splits that leak, for instance), and its problems name every
entry or file that could not be taken as the data set says. The modules below are imported when
asked for.

Your own adapter is any such function, given to `dfjax.prepare` or `build_index` as it is or by its
import path (`adapter="my_package.adapters:list_mine"`):

    def list_mine(root: Path, *, take: int | None = None) -> Listing:
        rows = [
            make_record(video_id=f"mine/{file.stem}", dataset="mine", label=FAKE, method="swap",
                        target_id=file.stem.split("_")[0], group=file.stem.split("_")[0],
                        root=str(root.resolve()), path=file.name)
            for file in sorted(root.glob("*.mp4"))[:take]
        ]
        return Listing(rows, notes=[], problems=[])

Its keyword parameters are its options. A parameter `out` gets the folder of the index, for frames
that have to be unpacked. `label` is 1 for a fake; `group` is what must never cross a split; `split`
is `train`, `val`, `test` or `none`. Entries of foreign lists go through `foreign.safe_path`.
"""

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import NamedTuple

from dfjax.data.index.adapters.listing import Listing
from dfjax.errors import UsageError, unknown
from dfjax.import_paths import allow_import, find, is_import_path

AdapterFunction = Callable[..., Listing]

TFDS = "tfds:"
"""What the name of a TFDS data set begins with."""


class Adapter(NamedTuple):
    """Where an adapter is, and the options it takes beside the root."""

    module: str
    function: str
    options: tuple[str, ...] = ()


_SPLITTING = ("dataset", "ratios", "seed", "fake_pattern")
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
    "folder": Adapter("folder", "list_folder", _SPLITTING),
    "frames": Adapter("folder", "list_frames", _SPLITTING),
    "csv": Adapter("csv_table", "list_csv", ("table", "dataset")),
}
ALIASES = {f"celebdf_{name}": name for name in ("v1", "v2", "pp")}


def find_adapter(adapter: str | AdapterFunction) -> tuple[AdapterFunction, tuple[str, ...]]:
    """Returns the function of an adapter and the names of its options.

    Args:
        adapter: Key of `ADAPTERS`, `celebdf_v1`, `celebdf_v2`, `celebdf_pp`, `tfds:NAME`, an import
            path `package.module:function`, or a function.

    Raises:
        UsageError: there is no such adapter.
    """
    if not isinstance(adapter, str):
        return adapter, _list_options(adapter)
    if adapter.startswith(TFDS) and adapter != TFDS:
        entry, fixed = Adapter("tfds_name", "list_tfds", ("out",)), {"name": adapter[len(TFDS) :]}
    elif adapter in ALIASES:
        entry, fixed = Adapter("celebdf", "list_celebdf"), {"variant": ALIASES[adapter]}
    elif adapter in ADAPTERS:
        entry, fixed = ADAPTERS[adapter], {}
    elif is_import_path(adapter) and adapter != TFDS:
        allow_import(adapter)
        function = find(adapter)
        if not callable(function):
            raise UsageError(f"{adapter} is not a function: an adapter takes the root as argument")
        return function, _list_options(function)
    else:
        raise unknown("adapter", adapter, (*ADAPTERS, *ALIASES, f"{TFDS}NAME", "MODULE:FUNCTION"))
    module = importlib.import_module(f"dfjax.data.index.adapters.{entry.module}")
    return functools.partial(getattr(module, entry.function), **fixed), entry.options


def _list_options(function: AdapterFunction) -> tuple[str, ...]:
    """Returns the names of the parameters that follow the root."""
    return tuple(inspect.signature(function).parameters)[1:]
