"""Check data for problems that would make results wrong: leaks, shortcuts, damaged files.

For example:

  dfjax data audit --index work/crops/index.parquet --out work/audit
  dfjax data audit --index work/pack --out work/audit --accept origin_across_splits

The audit checks for people, recordings, files and near duplicates in two splits; for contradictory
labels; for missing and damaged files; the balance of classes, methods and data sets; and length,
frame rate, size, codec, bit rate, brightness and sharpness by class and split. The shortcut probe
(from 40 videos per class) is a model of these properties only: an AUC above 0.6 is a warning, above
0.75 an error, and the message names the property that reveals the class.

Writes audit.json and audit.html to --out. Exit code 1: an error was found that --accept (may be
repeated) does not name. `dfjax train` audits its data in the same way.
"""

import argparse

from dfjax.commands.data import add_limits
from dfjax.commands.main import add_accept, add_json, finish


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax data audit`."""
    parser.add_argument("--index", required=True, help="of videos, crops or a pack")
    parser.add_argument("--out", required=True, help="folder for the two reports")
    add_accept(parser)
    parser.add_argument("--deep", action="store_true", help="open every video file again")
    add_limits(parser, 120.0, "file")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Audits, prints the findings, and returns 1 when an error stands."""
    from dfjax.experiment.data_audit import audit_data, describe_audit, list_refused

    limits = {"workers": args.workers, "time_limit": args.time_limit}
    content = audit_data(args.index, args.out, accept=args.accept, deep=args.deep, **limits)
    print(describe_audit(content))
    print(f"written to {args.out}: audit.json, audit.html")
    return finish(args, content, found=list_refused(content))
