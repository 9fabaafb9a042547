"""Write extracted face crops as a pack: a few large files with fast random access for training.

Example, after `dfjax data extract`:

  dfjax data pack --index work/crops/index.parquet --out work/pack
  dfjax train --config=dual_stream --workdir=runs/first --config.data.path=work/pack

A pack is a TFDS data directory (ArrayRecord) with its own index.parquet and checksums.json. The
same command reuses a pack of the same crops. Missing or damaged frames are left out and listed in
errors.jsonl; the exit code is then 1.

With --beam-runner, Apache Beam divides the crops over machines that share the files.
"""

from dfjax.commands.data import BEAM, add_beam
from dfjax.commands.main import Arguments, Parser, show


def add_arguments(parser: Parser) -> None:
    """Adds the options of `dfjax data pack`."""
    add = parser.add_argument
    add("--index", required=True, help="index.parquet beside the extracted crops")
    add("--out", required=True, help="folder of the pack")
    add("--fresh", action="store_true", help="replace a pack that is already in --out")
    add_beam(parser)


def run(args: Arguments) -> int:
    """Packs, says what the pack holds, and returns 1 when frames had to be left out."""
    from dfjax.data.store.pack import pack

    return show(args, pack(args.index, args.out, fresh=args.fresh, **args.select(*BEAM)))
