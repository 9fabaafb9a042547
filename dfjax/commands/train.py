"""Train the detector of a config; the same command resumes an interrupted run.

  dfjax train --config=dual_stream:smoke --workdir=runs/smoke
  dfjax train --config=configs/dual_stream.py --workdir=runs/dual --config.data.path=PACK \\
              --config.optimizer.learning_rate=3e-5
  dfjax train --config=dual_stream --workdir=runs/fold2 --config.data.path=PACK --fold=2/5
  dfjax train --config=dual_stream --workdir=runs/cv --config.data.path=PACK --fold=all/5

--config takes a file or a name, with variants after a colon (smoke: synthetic, under a minute;
tiny: the demo). The data are audited first (`dfjax data audit`): errors such as people in two
splits stop the run unless --accept CODE names them; every report then states this. Any key of the
config can be set as --config.SECTION.KEY=VALUE. --fold uses the folds of `dfjax data split`, or
else assigns groups to folds; the fold of the round is the test split. --fold=all/K trains and
evaluates all K folds in WORKDIR/fold1 …: folds.md has mean ± standard deviation of every metric,
oof.parquet the score of every video by the detector that was not trained on it.
A config with `phases` (efficientnet_b4_380: the head on a frozen base, then its end too) runs them
one after another, in WORKDIR/phase1 … and the last in WORKDIR. --config.train.init_from=WORKDIR
starts from the best checkpoint of another run, =FILE.safetensors from a detector's or a backbone's
weights.
Ctrl-C saves and stops (exit 130), SIGTERM too (exit 75); a second Ctrl-C stops at once.
"""

import re
from pathlib import Path

from dfjax.commands.main import Arguments, Parser, add_accept, add_config, print_json
from dfjax.config import load_config
from dfjax.console import make_console
from dfjax.errors import OK
from dfjax.store_workdirs import find_copy


def add_arguments(parser: Parser) -> None:
    """Adds the arguments; `parse_args` collects the overrides, `--config.KEY=VALUE`."""
    add = parser.add_argument
    add_config(parser)
    add("--workdir", required=True, type=Path, help="everything the run writes")
    add("--fold", metavar="N/K|all/K", help="round N of cross-validation, or all")
    add_accept(parser)


def run(args: Arguments) -> int:
    """Trains or resumes, and returns the exit code."""
    from dfjax.commands.signals import stop_on_signals

    folds = re.fullmatch(r"all/(\d+)", args.fold or "")
    fold = [f"data.fold={args.fold}"] if args.fold and not folds else []
    with stop_on_signals() as interrupt:
        config = load_config(args.config, [*args.overrides, *fold])
        options = {"accept": args.accept, "interrupt": interrupt}
        if folds:
            from dfjax.studies.cross_validation import train_folds  # takes seconds

            outcome = train_folds(config, args.workdir, int(folds[1]), **options)
        else:
            from dfjax.experiment.history import print_history
            from dfjax.experiment.train import run_training

            outcome = run_training(config, args.workdir, **options)
            print_history(find_copy(args.workdir), config.early_stop.metric, make_console())
    print_json(outcome, indent=None if args.json else 2)
    return OK
