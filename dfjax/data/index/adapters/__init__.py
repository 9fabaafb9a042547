"""Adapters list the videos of a data set as rows of the index. They read file names, not videos.

An adapter is a function `(root, **options) -> Listing`. Its rows are made by `records.make_record`.
Its notes are sentences for the user, such as a warning about splits that leak. Its problems name
every entry or file that does not fit the description of the data set. The modules of this package
are imported on use.

Your own adapter is any such function, passed to `dfjax.prepare` or `build_index` directly or by its
import path (`adapter="my_package.adapters:list_mine"`):

    def list_mine(root: Path, *, take: int | None = None) -> Listing:
        rows = [
            make_record(video_id=f"mine/{file.stem}", dataset="mine", label=FAKE, method="swap",
                        target_id=file.stem.split("_")[0], group=file.stem.split("_")[0],
                        root=str(root.resolve()), path=file.name)
            for file in sorted(root.glob("*.mp4"))[:take]
        ]
        return Listing(rows, notes=[], problems=[])

Its keyword parameters are its options. A parameter `out` receives the folder of the index, for
frames that have to be unpacked. `label` is 1 for a fake. Videos with the same `group` must be in
the same split. `split` is `train`, `val`, `test` or `none`. Paths from lists of the data set must
be checked by `foreign.safe_path`.
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
"""Prefix of the names of TFDS data sets."""


class Adapter(NamedTuple):
    """Module and function of an adapter, and the names of its options."""

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
        UsageError: The adapter is unknown, or the import path is not that of a function.
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
            raise UsageError(f"{adapter} is not a function of the data set's root folder")
        return function, _list_options(function)
    else:
        raise unknown("adapter", adapter, (*ADAPTERS, *ALIASES, f"{TFDS}NAME", "MODULE:FUNCTION"))
    module = importlib.import_module(f"dfjax.data.index.adapters.{entry.module}")
    return functools.partial(getattr(module, entry.function), **fixed), entry.options


def _list_options(function: AdapterFunction) -> tuple[str, ...]:
    """Returns the names of the parameters that follow the root."""
    return tuple(inspect.signature(function).parameters)[1:]
