"""Write extracted face crops as a pack: a few large files with fast random access for training.

Example, after `dfjax data extract`:

  dfjax data pack --index work/crops/index.parquet --out work/pack
  dfjax train --config=dual_stream --workdir=runs/first --config.data.path=work/pack

A pack is a TFDS data directory (ArrayRecord) with its own index.parquet and checksums.json. The
same command reuses a pack of the same crops. Missing or damaged frames are left out and listed in
errors.jsonl; the exit code is then 1.
"""

import argparse

from dfjax.commands.main import add_json, finish, print_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `dfjax data pack`."""
    parser.add_argument("--index", required=True, help="index.parquet beside the extracted crops")
    parser.add_argument("--out", required=True, help="folder of the pack")
    parser.add_argument(
        "--fresh", action="store_true", help="replace a pack that is already in --out"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Packs, says what the pack holds, and returns 1 when frames had to be left out."""
    from dfjax.data.store.pack import pack

    report = pack(args.index, args.out, fresh=args.fresh)
    verb, size, errors = "reused" if report.reused else "packed", report.crop_size, report.errors
    print_line(
        f"{verb} {args.out}: {report.videos} videos, {report.frames} frames of {size}x{size}"
    )
    if errors:
        what = f"{len(errors)} frames or videos left out, see {args.out}/errors.jsonl"
        print_line(f"dfjax: {what}", error=True)
    return finish(args, report._asdict() | {"out": args.out, "errors": len(errors)}, found=errors)
