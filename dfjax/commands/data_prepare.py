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

from dfjax.commands.data import LIMITS, add_limits
from dfjax.commands.data_extract import add_crop_options, read_crop_options
from dfjax.commands.data_index import OPTIONS, add_adapter_options
from dfjax.commands.main import Arguments, Parser, add_accept, show


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax data prepare`."""
    add = parser.add_argument
    add("--root", required=True, help="folder of the data set, or its csv file")
    add("--out", required=True, help="folder to write")
    add_adapter_options(parser)
    add("--by", default="complete", help="as in `dfjax data split` (complete)")
    add("--default-split", help="of videos in no official split (assigned)")
    add_crop_options(parser)
    add("--flow-stride", type=int, help="also optical flow, over so many frames")
    add("--refresh", action="store_true", help="list the data set again")
    add_accept(parser)
    add_limits(parser, 600.0, "video")


def run(args: Arguments) -> int:
    """Prepares what is missing; returns 1 if something was left out or an audit error stands."""
    from dfjax.experiment.prepare import run_plan
    from dfjax.experiment.prepare_plan import make_plan

    options = args.select(*OPTIONS, "by", "default_split", "flow_stride")
    plan = make_plan(args.adapter, **options, **read_crop_options(args))
    again = args.select("refresh", "accept", *LIMITS)
    return show(args, run_plan(plan, args.root, args.out, **again))
