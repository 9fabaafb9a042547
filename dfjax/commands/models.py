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

from pathlib import Path

from dfjax.commands.main import Arguments, Parser, print_line, show
from dfjax.config import config_names, load_config
from dfjax.errors import UsageError


def add_arguments(parser: Parser) -> None:
    """Adds the arguments of the verb."""
    add = parser.add_argument
    add("name", nargs="?", help="one config, NAME[:variant]; none: all of them")
    add("--diagram", type=Path, metavar="F.svg", help="draw the config to this file")
    parser.set_defaults(overrides=[])


def run(args: Arguments) -> int:
    """Prints the table, or the JSON object, and draws the diagram if asked to."""
    from dfjax.experiment.model_size import compute_model_sizes, write_diagram

    if args.diagram and not args.name:
        raise UsageError("--diagram draws one config: dfjax models NAME --diagram F.svg")
    if args.overrides and not args.name:
        raise UsageError("--config.KEY=VALUE changes one config: dfjax models NAME --config.…")
    names = [args.name] if args.name else config_names()
    configs = {name: load_config(name, args.overrides) for name in names}
    result = compute_model_sizes(configs)
    if args.diagram:
        summary = result.sizes[args.name].summary
        write_diagram(args.diagram, args.name, configs[args.name], summary)
        print_line(f"wrote {args.diagram}", error=True)
    return show(args, result, text=not args.json)
