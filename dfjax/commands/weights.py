"""Fetch published weights by name or address.

  dfjax weights fetch yunet
  dfjax weights fetch https://example.org/w.pth --sha256 HASH --out w.pth

fetch verifies what it downloads, resumes where it stopped, and prints the licence. Without --out,
files are kept in the user's cache folder. Without network, the message says which file to put
where.
"""

import argparse

from dfjax.commands.main import add_json, print_json, print_line
from dfjax.errors import OK


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subverbs with their arguments."""
    subverbs = parser.add_subparsers(metavar="SUBVERB", required=True)
    fetch = subverbs.add_parser("fetch", help="weights by name or address", allow_abbrev=False)
    fetch.add_argument("name", metavar="NAME|URL", help="one of those above, or https://…")
    fetch.add_argument("--out", metavar="FILE", help="file to write (in the cache folder)")
    fetch.add_argument("--sha256", metavar="HASH", help="of the file at an address")
    add_json(fetch)
    fetch.set_defaults(call=_fetch)


def run(args: argparse.Namespace) -> int:
    """Runs the subverb and returns its exit code."""
    return args.call(args)


def _fetch(args: argparse.Namespace) -> int:
    from dfjax.weights.fetch import fetch

    fetched = fetch(args.name, out=args.out, sha256=args.sha256)
    print_line(f"{fetched.path}: from {fetched.source}, SHA-256 {fetched.sha256}")
    print_line(f"licence: {fetched.licence or 'not known; see the page of the address'}")
    if args.json:
        print_json(fetched._asdict() | {"path": str(fetched.path)})
    return OK
