"""List a data set's videos in one table: labels, splits, identities, groups, video properties.

For example:

  dfjax data index --adapter ffpp --root FaceForensics++ --compression c23 --out work/index.parquet
  dfjax data index --adapter folder --root videos/ --out work/index.parquet
  dfjax data index --adapter my_package.adapters:list_mine --root videos/ --out work/index.parquet

Adapters: ffpp dfd celebdf (v1, v2, ++) dfdc dfdcp deeperforensics ffiw uadfv wilddeepfake df40 take
the original trees and keep their official splits and lists; videos without one are split none, see
--default-split and `dfjax data split`. deepfakebench reads its JSON files with crops or LMDB files.
folder takes real/ and fake/ (fake/METHOD/ names methods), one video per file, or --fake-pattern;
frames the same with folders of face images; csv a table path,label,…; tfds:NAME a TFDS data set in
--root; PACKAGE.MODULE:FUNCTION your own. What is cropped already (frames, wilddeepfake, df40,
deepfakebench, tfds) needs no extraction: `dfjax data pack` takes the index as it is.

Every file is opened and hashed (--no-probe leaves that to later steps: properties stay unknown).
Unreadable ones are left out, listed in errors.jsonl beside the index with what is listed but
absent, without a label or unsafe; the exit code is then 1. What merely has no counterpart (a part
of FaceForensics++ that was not downloaded, a video in no list of splits) is counted and listed in
unmatched.jsonl.
"""

from dfjax.commands.data import LIMITS, add_limits, add_ratios, command_line
from dfjax.commands.main import Arguments, Parser, show

OPTIONS = (
    *("compression", "variant", "dataset", "ratios", "seed", "fake_pattern", "table"),
    "follow_links",
)
SPLITS = ("train", "val", "test", "none")


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax data index`."""
    add = parser.add_argument
    add("--root", required=True, help="folder of the data set, or its csv file")
    add("--out", required=True, help="the index to write (Parquet)")
    add_adapter_options(parser)
    add("--default-split", choices=SPLITS, default="none", help="of videos in no split (none)")
    add("--no-probe", action="store_false", dest="probe", help="open no file, believe the names")
    add_limits(parser, 120.0, "file")


def add_adapter_options(parser: Parser) -> None:
    """Adds `--adapter` and the options of adapters, which `index` and `prepare` share."""
    add = parser.add_argument
    add("--adapter", required=True, help="one of those above, or your own MODULE:FUNCTION")
    add("--compression", help="ffpp, dfd: only raw, c23 or c40 (all that exist)")
    add("--variant", help="celebdf: v1, v2 or pp (found by the tree)")
    add("--dataset", help="folder, frames, csv: name of the data set (its file's)")
    add_ratios(parser, "folder, frames: shares of the splits (0.8,0.1,0.1)")
    add("--seed", type=int, help="folder, frames: of the assignment to splits (0)")
    add("--fake-pattern", help="folder: text, glob or regular expression in the paths of fakes")
    add(
        "--follow-links", action="store_true", default=None,
        help="also read files outside of --root to which symbolic links in it lead",
    )  # fmt: skip
    add("--table", help="csv: the file; deepfakebench: a JSON file or a folder")


def run(args: Arguments) -> int:
    """Writes the index; returns 1 if files had to be left out."""
    from dfjax.data.index.build import build_index

    options = args.select(*OPTIONS, "default_split", "probe", *LIMITS)
    options |= {"command": command_line()}
    return show(args, build_index(args.adapter, args.root, args.out, **options))
