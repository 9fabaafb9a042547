"""Fine-tune a detector on fakes that a generator has restored, round after round.

  dfjax harden --detector runs/dual --generator runs/defake --rounds 2 --workdir runs/hardened

The generator restores the fakes of the training and validation splits, and the detector is trained
further with them as extra fakes. Every round is an ordinary run in WORKDIR/roundK. The table has
the AUC of every round on the fakes of the test split, as they are and restored; round 0 is the
detector that was given. --config.KEY=VALUE overrides the detector's config for the rounds. The
same command resumes, and does not repeat finished rounds.
"""

from pathlib import Path

from dfjax.commands.main import Arguments, Parser, add_accept, add_import, show


def add_arguments(parser: Parser) -> None:
    """Adds the arguments; `parse_args` collects the overrides, `--config.KEY=VALUE`."""
    add = parser.add_argument
    add("--detector", type=Path, required=True, metavar="W", help="workdir of the detector")
    add("--generator", type=Path, required=True, metavar="G", help="workdir of the generator")
    add("--rounds", type=int, default=1, metavar="N", help="number of rounds (1)")
    add("--workdir", type=Path, required=True, metavar="DIR", help="folder of the rounds")
    add_accept(parser)
    add_import(parser)
    parser.set_defaults(overrides=[])


def run(args: Arguments) -> int:
    """Trains the unfinished rounds, prints the table and returns the exit code."""
    from dfjax.commands.signals import stop_on_signals
    from dfjax.studies.hardening import harden  # takes seconds

    options = args.select("workdir", "rounds", "accept")
    with stop_on_signals() as interrupt:
        result = harden(
            args.detector, args.generator, args.overrides, **options, interrupt=interrupt
        )
    return show(args, result, text=not args.json)
