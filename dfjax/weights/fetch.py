"""Fetches published weights by name or from a web address."""

import os
import re
import urllib.parse
from pathlib import Path
from typing import NamedTuple

from dfjax.errors import UsageError, unknown
from dfjax.user_cache import user_cache
from dfjax.weights.download import download
from dfjax.weights.published import PUBLISHED

SHA256 = re.compile("[0-9a-f]{64}")


class Fetched(NamedTuple):
    """A file of weights that was fetched.

    Attributes:
        path: The file.
        source: Address that it is from.
        sha256: Hash of the published file.
        licence: Licence of the weights, or None if it is not known.
    """

    path: Path
    source: str
    sha256: str
    licence: str | None


def fetch(
    name: str, *, out: str | os.PathLike[str] | None = None, sha256: str | None = None
) -> Fetched:
    """Returns published weights, which are downloaded unless they are there already.

    Args:
        name: Name in `PUBLISHED`, or an address `https://…`.
        out: File to write; None is a file in the user's cache folder.
        sha256: Hash of the file at an address, in hexadecimal. Published files have known hashes.

    Raises:
        UsageError: The name is unknown, an address has no hash, or there is no network; the message
            then says which file to put where.
        RunError: The file that was received is not the expected one, or the connection broke.
    """
    if "://" in name:
        return _fetch_address(name, out, sha256)
    if name not in PUBLISHED:
        raise unknown("published weights", name, PUBLISHED)
    if sha256 is not None:
        raise UsageError(f"sha256 is for an address; the hash of {name} is known")
    published = PUBLISHED[name]
    path = _place(out, f"{name}{Path(published.url).suffix}")
    download(published.url, path, published.sha256)
    return Fetched(path, published.url, published.sha256, published.licence)


def _fetch_address(url: str, out: str | os.PathLike[str] | None, sha256: str | None) -> Fetched:
    if sha256 is None or not SHA256.fullmatch(sha256.lower()):
        raise UsageError(f"{url} needs sha256, the 64 hexadecimal digits of the file's hash")
    file = Path(urllib.parse.unquote(urllib.parse.urlsplit(url).path)).name
    if out is None and not file.strip("."):
        raise UsageError(f"{url} does not name a file: give out, the file to write")
    path = _place(out, file)
    download(url, path, sha256.lower())
    return Fetched(path, url, sha256.lower(), None)


def _place(out: str | os.PathLike[str] | None, file: str) -> Path:
    return user_cache("weights") / file if out is None else Path(out)
