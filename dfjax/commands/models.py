"""Print parameters, input and FLOPs of every config, or draw the diagram of one.

  dfjax models
  dfjax models --json
  dfjax models dual_stream --diagram dual_stream.svg
  dfjax models dual_stream:tiny
  dfjax models two_stream_flow --config.model.two_stream.flow=False

FLOPs are those of convolutions and matrix products for one clip in evaluation, two per
multiply-add. Non-trainable are running statistics and the parameters that optimizer.freeze freezes;
a config with phases of training has a line for each.
"""

import argparse
from pathlib import Path

from rich.console import Console

from dfjax.commands.main import add_json, print_json
from dfjax.config import config_names, load_config
from dfjax.errors import OK, UsageError
from dfjax.experiment.model_size import compute_model_size, draw_model, make_tables
from dfjax.files import write_text
from dfjax.outputs import check_outputs


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
    sizes = {name: compute_model_size(config) for name, config in configs.items()}
    if args.diagram:
        check_outputs([args.diagram])
        summary = sizes[args.name].summary
        write_text(args.diagram, draw_model(args.name, configs[args.name], summary))
        Console(stderr=True).print(f"wrote {args.diagram}")
    if args.json:
        print_json({name: size.to_json() for name, size in sizes.items()})
    else:
        Console(soft_wrap=True, highlight=False).print(*make_tables(sizes), sep="\n")
    return OK
