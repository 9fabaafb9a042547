"""Parameters, input and arithmetic of every config, and the diagram of one.

  dfjax models
  dfjax models --json
  dfjax models dual_stream --diagram dual_stream.svg
  dfjax models dual_stream:tiny
  dfjax models two_stream_flow --config.model.two_stream.flow=False

FLOPs are of one clip in evaluation, two per multiply-add, convolutions and matrix products only.
Non-trainable are running statistics and what the config's optimizer.freeze names; a config with
phases of training has a line for each.
"""

import argparse
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import jax
from ml_collections import ConfigDict
from rich.console import Console
from rich.table import Table

from dfjax.commands.main import add_json, print_json
from dfjax.config import config_names, load_config
from dfjax.errors import OK, UsageError
from dfjax.experiment.phases import plan_phases
from dfjax.models.diagram import make_svg
from dfjax.models.registry import full_options
from dfjax.models.summary import Summary, compute_summary, count
from dfjax.training.optimizers import match_paths


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the verb."""
    parser.add_argument("name", nargs="?", help="one config, NAME[:variant]; none: all of them")
    parser.add_argument(
        "--diagram", type=Path, metavar="F.svg", help="draw the config to this file"
    )
    parser.set_defaults(overrides=[])
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Prints the table, or the JSON object, and draws the diagram if asked to."""
    if args.diagram and not args.name:
        raise UsageError("--diagram draws one config: dfjax models NAME --diagram F.svg")
    if args.overrides and not args.name:
        raise UsageError("--config.KEY=VALUE changes one config: dfjax models NAME --config.…")
    names = [args.name] if args.name else config_names()
    configs = {name: load_config(name, args.overrides) for name in names}
    summaries = {name: summarise(config) for name, config in configs.items()}
    if args.diagram:
        _write(args.diagram, _draw(args.name, configs[args.name], summaries[args.name]))
        Console(stderr=True).print(f"wrote {args.diagram}")
    sizes = {name: count_phases(configs[name], summaries[name]) for name in names}
    if args.json:
        print_json({name: _as_json(summaries[name], sizes[name]) for name in names})
    else:
        _print_table(summaries, sizes)
    return OK


def _draw(title: str, config: ConfigDict, summary: Summary) -> str:
    name = config.model.name
    return make_svg(title, name, full_options(name, config.model[name].to_dict()), summary)


def summarise(config: ConfigDict) -> Summary:
    """Returns the size of the model of `config` on its own clips."""
    name = config.model.name
    return compute_summary(
        name,
        size=config.preprocess.size,
        frames=config.data.frames,
        options=config.model[name].to_dict(),
    )


class Sizes(NamedTuple):
    """What training changes of a model, and what not.

    Attributes:
        trainable: number of parameters that are trained.
        non_trainable: number of the frozen ones and of running statistics.
        parts: trained parameters of every top-level part.
    """

    trainable: int
    non_trainable: int
    parts: dict[str, int]


def count_phases(config: ConfigDict, summary: Summary) -> list[Sizes]:
    """Returns the sizes in every phase of training; a config without `phases` has one.

    Raises:
        UsageError: a pattern of `optimizer.freeze` matches no parameter.
    """
    params = summary.variables["params"]
    found = []
    for phase in plan_phases(config, Path()):
        frozen = match_paths(params, phase.config.optimizer.freeze)
        trained = jax.tree.map(lambda leaf, out: () if out else leaf, params, frozen)
        parts = {name: count(part) for name, part in trained.items()}
        total = sum(parts.values())
        rest = summary.parameters - total + summary.statistics
        found.append(Sizes(total, rest, parts))
    return found


def _as_json(summary: Summary, sizes: list[Sizes]) -> dict[str, object]:
    """The contract's keys, of the first phase, and both counts of every phase."""
    content: dict[str, object] = {
        **sizes[0]._asdict(), "input": summary.input, "flops": summary.flops
    }  # fmt: skip
    if len(sizes) > 1:
        keys = ("trainable", "non_trainable")
        content["phases"] = [{key: getattr(size, key) for key in keys} for size in sizes]
    return content


def _print_table(summaries: dict[str, Summary], sizes: dict[str, list[Sizes]]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("config")
    for title in ("trainable", "non-trainable", "input", "GFLOPs"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, summary in summaries.items():
        shapes = "\n".join("x".join(map(str, shape[1:])) for shape in summary.input.values())
        counts = sizes[name]
        phases = [f"  phase {number}" for number in range(2, len(counts) + 1)]
        table.add_row(
            "\n".join([name, *phases]),
            "\n".join(f"{size.trainable:,}" for size in counts),
            "\n".join(f"{size.non_trainable:,}" for size in counts),
            shapes,
            f"{summary.flops / 1e9:.2f}",
        )
    console = Console(soft_wrap=True, highlight=False)
    console.print(table)
    if len(summaries) == 1:
        for part, size in next(iter(summaries.values())).parts.items():
            console.print(f"  {part:<20} {size:>12,}")


def _write(path: Path, text: str) -> None:
    try:
        handle, temporary = tempfile.mkstemp(dir=path.resolve().parent, suffix=".tmp")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    with os.fdopen(handle, "w") as file:
        file.write(text)
    os.replace(temporary, path)
