"""Fetches published weights by name: `dfjax weights fetch`."""

import os
from dataclasses import dataclass
from pathlib import Path

from dfjax.errors import UsageError, unknown
from dfjax.inference.weight_files import import_weights
from dfjax.results import Result
from dfjax.user_cache import user_cache
from dfjax.weights.fetch import fetch_address, fetch_web_file, find_in_package, find_on_hub
from dfjax.weights.published import PUBLISHED, PackageFile, WebFile


@dataclass(frozen=True)
class FetchedWeights(Result):
    """Weights that were fetched.

    Attributes:
        out: The file: as published, or for a backbone a safetensors file of ours.
        source: Address, package or repository that the published file is from.
        sha256: Hash of the published file.
        licence: Licence of the weights, or None if it is not known.
        notes: What the import of a backbone recognised or left out.
    """

    out: Path
    source: str
    sha256: str
    licence: str | None
    notes: tuple[str, ...] = ()

    def describe(self) -> list[str]:
        """Returns lines that name the file, where it is from, and its licence."""
        licence = self.licence or "not known; see the page of the address"
        return [
            f"{self.out}: from {self.source}, SHA-256 {self.sha256}",
            f"licence: {licence}",
        ]


def fetch(
    name: str, *, out: str | os.PathLike[str] | None = None, sha256: str | None = None
) -> FetchedWeights:
    """Returns published weights, which are downloaded unless they are there already.

    A backbone is imported to a safetensors file of ours, from which a config can start
    (`init.backbone`). Its header has the licence (`licence`), the package or repository with its
    version (`source`) and the hash of the published file (`source_sha256`). Other files are stored
    as they are.

    Args:
        name: Name in `PUBLISHED`, or an address `https://…`.
        out: File to write; None is one in the user's cache folder.
        sha256: Hash of the file at an address, in hexadecimal. Published files have known hashes.

    Raises:
        UsageError: The name is unknown, a package is missing, an address has no hash, or there is
            no network; the message then says which file to put where.
        RunError: The file that was received is not the expected one, or the connection broke.
    """
    path = None if out is None else Path(out)
    if "://" in name:
        return FetchedWeights(*fetch_address(name, path, sha256), None)
    if name not in PUBLISHED:
        raise unknown("published weights", name, PUBLISHED)
    if sha256 is not None:
        raise UsageError(f"sha256 is for an address, not for {name}")
    published = PUBLISHED[name]
    if isinstance(published, WebFile):
        return FetchedWeights(*fetch_web_file(name, published, path), published.licence)
    if isinstance(published, PackageFile):
        file, padding = find_in_package(published), None
    else:
        file, padding = find_on_hub(published), published.padding
    path = path or user_cache("weights") / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    done = import_weights(
        file.path,
        published.origin,
        name,
        path,
        source=file.source,
        licence=published.licence,
        padding=padding,
    )
    return FetchedWeights(path, file.source, file.sha256, published.licence, done.notes)
