"""Look for what would make results wrong before anyone trains: leaks, shortcuts, broken files.

For example:

  dfjax data audit --index work/crops/index.parquet --out work/audit
  dfjax data audit --index work/pack --out work/audit --accept origin_across_splits

Checked are people, recordings, files and look-alike faces in two splits; labels that contradict
each other; missing and damaged files; balance of classes, methods and data sets; length, frame
rate, size, codec, bit-rate, brightness and sharpness by class and split. The shortcut probe (from
40 videos per class) is a model that sees only these numbers, never a face: AUC above 0.6 is a
warning, above 0.75 an error, and the property that gives the class away is named.

Writes audit.json and audit.html to --out. Exit code 1: an error was found that --accept (may be
repeated) does not name. `dfjax train` asks the same of its data.
"""

import argparse
import os
from pathlib import Path
from typing import Any

from dfjax.commands.main import add_json, print_json
from dfjax.console import track
from dfjax.errors import FINDING, OK, UsageError
from dfjax.files import finite


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax data audit`."""
    parser.add_argument("--index", required=True, type=Path, help="of videos, crops or a pack")
    parser.add_argument("--out", required=True, type=Path, help="folder for the two reports")
    parser.add_argument(
        "--accept", action="append", default=[], metavar="CODE", help="an error to live with"
    )
    parser.add_argument("--deep", action="store_true", help="open every video file again")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (cores)")
    parser.add_argument("--time-limit", type=float, default=120.0, help="seconds a file (120)")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Audits, prints, writes both reports, and returns 1 when an error stands."""
    from dfjax.data.index.audit import audit, check_accepted, refused, to_json

    check_accepted(args.accept)
    if args.workers < 1 or args.time_limit <= 0:
        raise UsageError("--workers and --time-limit must be positive")
    result = audit(
        args.index,
        deep=args.deep,
        workers=args.workers,
        time_limit=args.time_limit,
        track=track,
    )
    from dfjax.evaluation.audit_page import write_reports

    content = finite(to_json(result, args.accept))
    write_reports(result, content, args.out, name=str(args.index))
    print_findings(content)
    print(f"written to {args.out}: audit.json, audit.html")
    if args.json:
        print_json(content)
    return FINDING if refused(result.findings, args.accept) else OK


def print_findings(content: dict[str, Any]) -> None:
    """Prints the frame counts, the probe and every finding."""
    n, frames, probe = content["n"], content["frames"], content["shortcut_probe"]
    print(f"{n['videos']} videos, {n['real']} real, {n['fake']} fake")
    print("frames per video        n      mean        sd")
    for name in ("real", "fake"):
        block = frames[name]
        print(f"  {name:<16}{block['n']:>7}{_show(block['mean'])}{_show(block['sd'])}")
    if frames["ratio"]:
        print(f"  ratio of means {frames['ratio']:.1f}x")
    if probe["auc"] is not None:
        print(f"shortcut probe: AUC {probe['auc']:.3f}")
    for finding in content["findings"]:
        accepted = " (accepted)" if finding["code"] in content["accepted"] else ""
        print(f"{finding['severity']}: {finding['code']}{accepted}: {finding['message']}")
    if not content["findings"]:
        print("no findings")


def _show(value: float | None) -> str:
    return f"{'-':>10}" if value is None else f"{value:>10.1f}"
