"""Prepare a data set for training in one call: index, split, faces, pack and audit.

For example, from a folder with real/ and fake/ videos:

  dfjax data prepare --adapter folder --root videos/ --out work/data
  dfjax train --config=hybrid --workdir=runs/first --config.data.path=work/data/pack

OUT contains source/ (the index of the videos and their splits), crops/ and index.parquet (the
faces), pack/, audit.json and audit.html. The same command reuses finished stages and resumes an
interrupted one; --refresh lists the data set again, to find new files. Other arguments for a used
folder are an error. `dfjax data index --help` explains the adapters, `dfjax data extract --help`
the options for face detection and cropping.

Official splits are kept; train and val are assigned if a data set has none, and a person (or else a
real and its fakes) is in one split only. --every 1 (the default) is right for configs of any
stride; the stride of the config takes less time and space. Data sets that consist of crops are not
cropped again unless --detector is given.

What cannot be used is left out and listed in the errors.jsonl files. Exit code 1: something was
left out, or the audit found an error that --accept does not name.
"""

import argparse

from dfjax.commands.data import add_limits
from dfjax.commands.data_extract import add_crop_options, read_crop_options
from dfjax.commands.data_index import OPTIONS, add_adapter_options
from dfjax.commands.main import add_accept, add_json, finish, print_line

SHOWN = 20  # inputs left out that are printed; all are in the files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax data prepare`."""
    parser.add_argument("--root", required=True, help="folder of the data set, or its csv file")
    parser.add_argument("--out", required=True, help="folder to write")
    add_adapter_options(parser)
    parser.add_argument("--by", default="complete", help="as in `dfjax data split` (complete)")
    parser.add_argument("--default-split", help="of videos in no official split (assigned)")
    add_crop_options(parser)
    parser.add_argument("--flow-stride", type=int, help="also optical flow, over so many frames")
    parser.add_argument("--refresh", action="store_true", help="list the data set again")
    add_accept(parser)
    add_limits(parser, 600.0, "video")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Prepares what is missing; returns 1 if something was left out or an audit error stands."""
    from dfjax.experiment.data_audit import describe_audit, list_refused
    from dfjax.experiment.prepare import run_plan
    from dfjax.experiment.prepare_plan import make_plan

    names = (*OPTIONS, "by", "default_split", "flow_stride")
    options = {name: getattr(args, name) for name in names}
    plan = make_plan(args.adapter, **options, **read_crop_options(args))
    limits = {"workers": args.workers, "time_limit": args.time_limit}
    try:
        report = run_plan(
            plan, args.root, args.out, refresh=args.refresh, accept=args.accept, **limits
        )
    except KeyboardInterrupt:
        print_line("dfjax: what is finished is kept; the same command continues", error=True)
        raise
    print(describe_audit(report.audit))
    print_line(report.describe())
    for entry in report.left_out[:SHOWN]:
        print_line(f"dfjax: {entry['video_id']}: {entry['error']}", error=True)
    return finish(args, report.to_json(), found=report.left_out or list_refused(report.audit))
