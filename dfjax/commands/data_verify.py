"""Check that files are what they were: the shards of a pack, or the videos and crops of an index.

  dfjax data verify --pack work/pack
  dfjax data verify --index work/crops/index.parquet

A pack's files (--pack, or --index of a pack) are compared with its checksums.json. Of an index,
the source videos are compared with their hashes, and every crop is decoded. Each file that is
damaged, missing or does not belong there is named; the exit code is then 1.
"""

from dfjax.commands.main import Arguments, Parser, show


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax data verify`."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--pack", help="folder of a pack")
    what.add_argument("--index", help="an index; crops are looked for beside it")
    parser.add_argument("--workers", type=int, help="threads (one per core)")


def run(args: Arguments) -> int:
    """Checks everything, prints one line per bad file, and returns 1 if there is any."""
    from dfjax.data.store.verify import verify_index, verify_pack

    verify = verify_pack if args.pack else verify_index
    return show(args, verify(args.pack or args.index, threads=args.workers))
