"""Loads and checks the tables of ablation studies, which are files in `configs/ablations/`.

A file defines `get_table(variant)`, which returns a dict:

- `title`: title of the table.
- `config`: name of the config that every row changes.
- `rows`: changes by the name of the row. A change is an override of the config (`data.frames=32`),
  an option of the evaluation (`evaluate.flip=True`), or other crops (`pack=NAME`).
- `cumulative` (optional): True if a row keeps the changes of the rows above it.
- `grid` (optional): values by key; every combination is a row, after `rows`.
- `ensembles` (optional): names of rows by the name of the ensemble of their detectors.
- `packs` (optional): descriptions, by name, of other crops of the same videos, whose paths the user
  gives. Rows whose pack is not given are left out.
"""

import ast
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

KEYS = ("title", "config", "rows", "cumulative", "grid", "ensembles", "packs")
EVALUATION = {"flip": bool, "passes": int}
"""Options of an evaluation that a row may set, arguments of `evaluate`, and their types."""

Changes = tuple[str, ...]


class Row(NamedTuple):
    """One row of a table.

    Attributes:
        name: Name of the row.
        change: Changes of this row.
        config: Complete config of the training.
        evaluation: Options of the evaluation.
        trained_as: Folder of the training, which is that of the first row with the same config.
        own_pack: Whether the row has its own pack instead of the data of the other rows.
    """

    name: str
    change: Changes
    config: ConfigDict
    evaluation: dict[str, Any]
    trained_as: str
    own_pack: bool

    @property
    def folder(self) -> str:
        """Name of the folder with the results of the row."""
        return name_folder(self.name)


class Table(NamedTuple):
    """A checked table.

    Attributes:
        title: Title of the table.
        spec: Name of the config, with its variant.
        rows: Rows that can be trained, in order.
        ensembles: Names of the rows whose detectors form an ensemble, by name of the ensemble.
        left_out: Reasons why rows are left out, by name of the row.
    """

    title: str
    spec: str
    rows: list[Row]
    ensembles: dict[str, tuple[str, ...]]
    left_out: dict[str, str]


def name_folder(name: str) -> str:
    """Returns the name of the folder for a row or an ensemble."""
    return re.sub(r"[^a-z0-9.=-]+", "_", name.lower()).strip("_") or "row"


def load_table(
    spec: str, overrides: Sequence[str] = (), packs: Mapping[str, str | Path] | None = None
) -> Table:
    """Returns the table of `FILE.py[:variant]` or `NAME[:variant]`.

    Args:
        spec: File or name of the table, optionally with `:VARIANT` of its config.
        overrides: Overrides for all rows, as for `load_config`. The changes of a row override them.
        packs: Paths, by name, of the packs that rows need.

    Raises:
        UsageError: The table does not exist; a key of it, of a row or of `packs` is unknown; names
            of rows are not distinct; an ensemble names a row that does not exist; or a config is
            invalid.
    """
    name, _, variant = spec.partition(":")
    path = find_table(name)
    content = runpy.run_path(str(path))["get_table"](variant)
    for key in content:
        if key not in KEYS:
            raise unknown(f"key of {path.name}", key, KEYS)
    for pack in packs or {}:
        if pack not in content.get("packs", {}):
            raise unknown(f"pack of {path.name}", pack, content.get("packs", {}))
    base_spec = f"{content['config']}:{variant}" if variant else content["config"]
    base = load_config(base_spec, overrides)
    rows, left_out = _make_rows(path, content, base, packs or {})
    ensembles = content.get("ensembles", {})
    names = [row.name for row in rows]
    for member in itertools.chain(*ensembles.values()):
        if member not in names:
            raise unknown(f"row in an ensemble of {path.name}", member, names)
    names += list(ensembles)
    if len(set(map(name_folder, names))) < len(names):
        raise UsageError(f"{path.name} has rows with similar names: {', '.join(names)}")
    return Table(content["title"], base_spec, rows, ensembles, left_out)


def _make_rows(
    path: Path, content: Mapping[str, Any], base: ConfigDict, packs: Mapping[str, str | Path]
) -> tuple[list[Row], dict[str, str]]:
    """Returns the rows that can be trained, and the reasons why others are left out."""
    changes = dict(content.get("rows", {})) | _expand(content.get("grid", {}))
    if not changes:
        raise UsageError(f"{path.name} has no row")
    rows: list[Row] = []
    left_out: dict[str, str] = {}
    kept: Changes = ()
    for name, change in changes.items():
        where = f"{path.name}, row {name!r}"
        if isinstance(change, str):
            raise UsageError(f"{where}: changes must be a tuple, not {change!r}")
        pack = _find_pack(where, change, content.get("packs", {}))
        if pack and pack not in packs:
            left_out[name] = f"it needs the pack {pack!r}: {content['packs'][pack]}"
            continue
        kept = (*kept, *change) if content.get("cumulative") else tuple(change)
        try:
            rows.append(_make_row(name, change, kept, base, packs, rows))
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from error
    return rows, left_out


def _find_pack(where: str, change: Changes, known: Mapping[str, str]) -> str:
    """Returns the name of the pack that a row needs, or an empty text."""
    names = [item.removeprefix("pack=") for item in change if item.startswith("pack=")]
    for name in names:
        if name not in known:
            raise unknown(f"pack of {where}", name, known)
    return names[-1] if names else ""


def _make_row(
    name: str,
    change: Changes,
    kept: Changes,
    base: ConfigDict,
    packs: Mapping[str, str | Path],
    above: Sequence[Row],
) -> Row:
    settings: list[str] = []
    evaluation: dict[str, Any] = {}
    for item in kept:
        if item.startswith("pack="):
            settings.append(f"data.path={packs[item.removeprefix('pack=')]}")
        elif item.startswith("evaluate."):
            evaluation |= _read_evaluation(item)
        else:
            settings.append(item)
    config = override(base, settings)
    plan_phases(config, Path())
    same = (row.trained_as for row in above if row.config == config)
    own_pack = any(item.startswith("pack=") for item in kept)
    return Row(name, tuple(change), config, evaluation, next(same, name_folder(name)), own_pack)


def _read_evaluation(item: str) -> dict[str, Any]:
    key, _, text = item.removeprefix("evaluate.").partition("=")
    if key not in EVALUATION:
        raise unknown("option of evaluate", key, EVALUATION)
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        value = text
    if type(value) is not EVALUATION[key]:
        raise UsageError(f"evaluate.{key} must be of type {EVALUATION[key].__name__}, not {text!r}")
    return {key: value}


def _expand(grid: Mapping[str, Sequence[Any]]) -> dict[str, Changes]:
    """Returns the changes of every combination of values, by a name that lists the values."""
    if not grid:
        return {}
    combinations = itertools.product(*([(key, v) for v in grid[key]] for key in grid))
    return {
        ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in chosen): tuple(
            f"{key}={value}" for key, value in chosen
        )
        for chosen in combinations
    }
