"""Tables of `dfjax ablate`: files in `configs/ablations/`, checked before anything is trained.

A file has `get_table(variant)`, which returns a dict: `title`; `config`, the name of one; `rows`,
overrides by the row's name; and, if wanted, `cumulative` (a row keeps what the rows above it
changed), `grid` (values by key: every combination becomes a row, after `rows`) and `ensembles`
(names of rows by the name of what their detectors are together).
"""

import itertools
import re
import runpy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from dfjax.config import find_table, load_config, override
from dfjax.errors import UsageError, unknown
from dfjax.experiment.phases import plan_phases

KEYS = ("title", "config", "rows", "cumulative", "grid", "ensembles")


class Row(NamedTuple):
    """One row: what it changes from the row it is compared with, and its whole config."""

    name: str
    change: tuple[str, ...]
    config: ConfigDict

    @property
    def folder(self) -> str:
        """The name as one of a folder."""
        return name_folder(self.name)


class Table(NamedTuple):
    """A checked table.

    Attributes:
        title: of the table.
        spec: config and variant.
        variant: of the config, nothing or one word.
        rows: in their order.
        ensembles: rows that are evaluated together, by name.
    """

    title: str
    spec: str
    variant: tuple[str, ...]
    rows: list[Row]
    ensembles: dict[str, tuple[str, ...]]


def name_folder(name: str) -> str:
    """Returns the name of a row or an ensemble as one of a folder."""
    return re.sub(r"[^a-z0-9.=-]+", "_", name.lower()).strip("_") or "row"


def load_table(spec: str, overrides: Sequence[str] = ()) -> Table:
    """Returns the table of `FILE.py[:variant]` or `NAME[:variant]`.

    Args:
        spec: the table's file or name, and the variant of its config.
        overrides: `--config.a.b=value` for all rows; what a row sets itself counts more.

    Raises:
        UsageError: no such table, an unknown key in it or in a row (the nearest is named), rows of
            one name, an ensemble of rows that there are not, or a config that cannot be used.
    """
    name, _, variant = spec.partition(":")
    path = find_table(name)
    content = runpy.run_path(str(path))["get_table"](variant)
    for key in content:
        if key not in KEYS:
            raise unknown(f"key of {path.name}", key, KEYS)
    base_spec = f"{content['config']}:{variant}" if variant else content["config"]
    base = load_config(base_spec, overrides)
    rows = _make_rows(path, content, base)
    ensembles = content.get("ensembles", {})
    names = [row.name for row in rows]
    for member in itertools.chain(*ensembles.values()):
        if member not in names:
            raise unknown(f"row in an ensemble of {path.name}", member, names)
    names += list(ensembles)
    if len(set(map(name_folder, names))) < len(names):
        raise UsageError(f"{path.name} has rows whose names are alike: {', '.join(names)}")
    return Table(content["title"], base_spec, tuple(filter(None, [variant])), rows, ensembles)


def _make_rows(path: Path, content: Mapping[str, Any], base: ConfigDict) -> list[Row]:
    changes = dict(content.get("rows", {})) | _expand(content.get("grid", {}))
    if not changes:
        raise UsageError(f"{path.name} has no row")
    rows: list[Row] = []
    kept: tuple[str, ...] = ()
    for name, change in changes.items():
        if isinstance(change, str):
            raise UsageError(f"{path.name}, row {name!r}: overrides are a tuple, not {change!r}")
        kept = (*kept, *change) if content.get("cumulative") else tuple(change)
        try:
            config = override(base, kept)
            plan_phases(config, Path())
        except UsageError as error:
            raise UsageError(f"{path.name}, row {name!r}: {error}") from error
        rows.append(Row(name, tuple(change), config))
    return rows


def _expand(grid: Mapping[str, Sequence[Any]]) -> dict[str, tuple[str, ...]]:
    """Every combination of the values, by a name that tells it."""
    if not grid:
        return {}
    combinations = itertools.product(*([(key, v) for v in grid[key]] for key in grid))
    return {
        ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in chosen): tuple(
            f"{key}={value}" for key, value in chosen
        )
        for chosen in combinations
    }
