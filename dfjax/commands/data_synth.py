"""Generate a synthetic data set of animated faces, half of them manipulated in known ways.

For example, a data set, and eight short videos for `dfjax predict`:

  dfjax data synth --out work/synthetic --videos 1000 --identities 100 --mp4 8
  dfjax data pack --index work/synthetic/index.parquet --out work/pack

Identities never cross the splits (train 60 %, val 10 %, test 30 %). The same seed gives the same
pixels; the same command continues where an interrupted one stopped.
"""

from dfjax.commands.data import command_line
from dfjax.commands.main import Arguments, Parser, show


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax data synth`."""
    add = parser.add_argument
    add("--out", required=True, help="folder for crops/ and index.parquet")
    add("--videos", type=int, default=1000, help="half real, half fake (1000)")
    add("--identities", type=int, default=100, help="an even number (100)")
    add("--frames", type=int, default=12, help="per video (12)")
    add("--size", type=int, default=64, help="side of a face crop in px (64)")
    add("--seed", type=int, default=0)
    add("--workers", type=int, default=2, help="processes (2)")
    add("--masks", action="store_true", help="also masks of the crops of fakes, for loss.mask")
    add("--mp4", type=int, default=0, metavar="K", help="also K test videos as mp4, with masks")


def run(args: Arguments) -> int:
    """Draws what is missing, writes the index, and says what there is."""
    from dfjax.data.synthetic.samples import synthesise

    options = args.select("videos", "identities", "frames", "size", "seed", "workers", "masks")
    return show(args, synthesise(args.out, **options, samples=args.mp4, command=command_line()))
