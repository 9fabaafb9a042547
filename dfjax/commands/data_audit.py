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

from dfjax.commands.data import LIMITS, add_limits
from dfjax.commands.main import Arguments, Parser, add_accept, finish


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax data audit`."""
    add = parser.add_argument
    add("--index", required=True, help="of videos, crops or a pack")
    add("--out", required=True, help="folder for the two reports")
    add_accept(parser)
    add("--deep", action="store_true", help="open every video file again")
    add_limits(parser, 120.0, "file")


def run(args: Arguments) -> int:
    """Audits, prints the findings, and returns 1 when an error stands."""
    from dfjax.experiment.data_audit import audit_data, describe_audit, list_refused

    content = audit_data(args.index, args.out, **args.select("accept", "deep", *LIMITS))
    print("\n".join(describe_audit(content)))
    print(f"written to {args.out}: audit.json, audit.html")
    return finish(args, content, found=list_refused(content))
