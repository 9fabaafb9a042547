"""Join near-duplicate videos into one group, so that no split by group divides them.

For example:

  dfjax data dedupe --index work/crops/index.parquet --out work/crops/joined.parquet
  dfjax data split --index work/crops/joined.parquet --by group --out work/crops/split.parquet

Near duplicates are those of `dfjax data audit`: videos with crops of the same face at the same
moment (cut, scaled or encoded again), and look-alikes of one recording. The audit reports them from
a correlation of 0.95; dedupe joins them from 0.93, because correlations change a little when crops
are packed. A lower --similarity also joins other moments of one recording. Identical files are
always joined.

Joining is transitive: if A is joined to B and B to C, all three have one group. The size of the
largest group is printed, with a note if it has more than 5 % of the videos. Only the column group
changes. Exit code 1: the crops of some videos could not be read; they are listed and not joined.
"""

from dfjax.commands.data import command_line
from dfjax.commands.main import Arguments, Parser, show


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax data dedupe`."""
    add = parser.add_argument
    add("--index", required=True, help="of crops or a pack")
    add("--out", required=True, help="the index to write (Parquet)")
    add("--similarity", type=float, metavar="X", help="least correlation of near duplicates (0.93)")


def run(args: Arguments) -> int:
    """Writes the index and prints what was joined; returns 1 if crops could not be read."""
    from dfjax.data.index.dedupe import dedupe_index

    options = {} if args.similarity is None else {"similarity": args.similarity}
    return show(args, dedupe_index(args.index, args.out, **options, command=command_line()))
