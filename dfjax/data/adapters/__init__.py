"""One file per data set: its folders become rows of the index. Adapters read names, not videos.

An adapter is a function `(root, **options) -> (rows, notes)`: rows made by `records.make_record`,
and sentences about what the user should know (files left aside, splits that leak).
"""

from collections.abc import Callable
from typing import Any

from dfjax.data.adapters.ffpp import list_ffpp
from dfjax.data.adapters.folder import list_folder

ADAPTERS: dict[str, Callable[..., tuple[list[dict[str, Any]], list[str]]]] = {
    "ffpp": list_ffpp,
    "folder": list_folder,
}
