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

import argparse
import json
import re
from pathlib import Path
from typing import Any

from rich.console import Console

from dfjax.commands.main import add_accept, add_json, print_json
from dfjax.config import load_config
from dfjax.errors import OK


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments; `parse_args` collects the overrides, `--config.KEY=VALUE`."""
    parser.add_argument(
        "--config", required=True, metavar="FILE|NAME[:VARIANT]", help="the experiment"
    )
    parser.add_argument("--workdir", required=True, type=Path, help="everything the run writes")
    parser.add_argument("--fold", metavar="N/K|all/K", help="round N of cross-validation, or all")
    add_accept(parser)
    parser.set_defaults(overrides=[])
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Trains or resumes, and returns the exit code."""
    folds = re.fullmatch(r"all/(\d+)", args.fold or "")
    fold = [f"data.fold={args.fold}"] if args.fold and not folds else []
    from dfjax.commands.signals import exit_code, stop_on_signals
    from dfjax.training.interrupt import Stopped

    outcome: dict[str, Any]
    code = OK
    with stop_on_signals() as interrupt:
        config = load_config(args.config, [*args.overrides, *fold])
        try:
            if folds:
                from dfjax.studies.cross_validation import train_folds  # takes seconds

                outcome = train_folds(
                    config, args.workdir, int(folds[1]), args.accept, interrupt=interrupt
                )
            else:
                from dfjax.experiment.history import print_history
                from dfjax.experiment.train import run_training

                outcome = run_training(config, args.workdir, args.accept, interrupt=interrupt)
                print_history(args.workdir, config.early_stop.metric, Console(stderr=True))
        except Stopped as stopped:
            outcome = {"status": str(stopped), "workdir": str(args.workdir)}
            code = exit_code(stopped.reason)
    if args.json:
        print_json(outcome)
    else:
        print(json.dumps(outcome, indent=2))
    return code
