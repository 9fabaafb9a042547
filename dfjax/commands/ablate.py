"""Train and compare the rows of an ablation table: Markdown, CSV and a plot with intervals.

  dfjax ablate dual_stream_streams:tiny
  dfjax ablate configs/ablations/transformer_training.py --seeds=3 \\
               --config.data.features=FEATURES
  dfjax ablate bilstm_phases --config.data.path=PACK --pack aligned=ALIGNED_PACK

A table is a file in configs/ablations/, given by path or name, optionally with the variant of its
config after a colon. Every row and seed is an ordinary run in WORKDIR/ROW/seedK. The same command
resumes an interrupted study and does not train finished rows again. All rows use one data set; the
best checkpoint on the validation split is evaluated once on the test split. A row that cannot be
trained is listed, and the others are trained (exit code 1). A row that needs other crops of the
same videos is left out, and listed, if --pack does not give them.

A table with `grid` is a sweep: every combination of its values is a row. --config.KEY=VALUE applies
to all rows; the changes of a row override it.
"""

from pathlib import Path

from dfjax.commands.main import Arguments, Parser, add_accept, show
from dfjax.errors import UsageError


def add_arguments(parser: Parser) -> None:
    """Adds the arguments; `parse_args` collects the overrides, `--config.KEY=VALUE`."""
    add = parser.add_argument
    add("table", metavar="FILE|NAME[:VARIANT]", help="a table of configs/ablations/")
    add("--workdir", type=Path, help="folder of the study (runs/ablate_NAME, _VARIANT)")
    add("--seeds", type=int, default=1, help="runs per row (1)")
    add("--pack", action="append", default=[], metavar="NAME=PACK", help="crops that a row needs")
    add_accept(parser)
    parser.set_defaults(overrides=[])


def run(args: Arguments) -> int:
    """Trains the unfinished rows, prints the table and returns the exit code."""
    from dfjax.commands.signals import stop_on_signals
    from dfjax.studies.ablation import ablate, default_workdir  # takes seconds

    packs = dict(item.partition("=")[::2] for item in args.pack)
    if not all(packs.values()):
        raise UsageError(f"--pack takes NAME=PACK, not {args.pack}")
    args.workdir = args.workdir or default_workdir(args.table)
    options = args.select("workdir", "seeds", "accept")
    with stop_on_signals() as interrupt:
        result = ablate(args.table, args.overrides, **options, packs=packs, interrupt=interrupt)
    return show(args, result, text=not args.json)
