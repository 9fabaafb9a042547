"""Join several indexes into one; rows are not changed and crops are not moved.

For example:

  dfjax data merge work/ffpp.parquet work/celeb.parquet --out work/both.parquet

A video that is in two of them is an error, and so are crops with different recipes (another margin,
face detector or size), because `dfjax predict` can only follow one. Crops are not moved: frames_dir
is made relative to the folder of the new index. Extract faces first, then merge with data sets that
consist of crops.
"""

from dfjax.commands.data import command_line
from dfjax.commands.main import Arguments, Parser, show


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax data merge`."""
    add = parser.add_argument
    add("indexes", nargs="+", metavar="INDEX", help="two or more Parquet files")
    add("--out", required=True, help="the index to write (Parquet)")


def run(args: Arguments) -> int:
    """Writes the merged index and prints its numbers of videos."""
    from dfjax.data.index.merge import merge_indexes

    return show(args, merge_indexes(args.indexes, args.out, command=command_line()))
