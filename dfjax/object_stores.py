"""URLs of object stores (`gs://BUCKET/…`, `s3://BUCKET/…`), and packs that are read from a copy.

An object store has no locks, no appending and no atomic renaming of folders, on which outputs rely.
Packs and workdirs (`store_workdirs`) therefore have local copies, and a URL is refused anywhere
else: there, a bucket has to be mounted. A copy of a pack is complete or absent, has the checksums
of the pack, and is made once per machine.
"""

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dfjax.errors import FileError, RunError, UsageError, first_line
from dfjax.files import hash_file, open_lock
from dfjax.json_files import read_json
from dfjax.user_cache import user_cache

URL = re.compile(r"(gs|s3|gcs|s3a|az|abfs|abfss|hdfs):/+(?=.)")
"""Start of a URL, of whose slashes `pathlib` removes all but one."""

STORES = {"gs": "gcs", "s3": "s3"}
"""The extra that installs the client of each store that is supported."""

READ = ("data", "data.path", "data.features")
"""Arguments and keys whose URLs are read."""

MANIFEST = "checksums.json"
COPIES = "packs"  # in the cache folder of the user

AnyPath = str | os.PathLike[str]


def is_url(path: AnyPath) -> bool:
    """Returns whether a path is a URL of an object store."""
    return bool(URL.match(os.fspath(path)))


def refuse_urls(paths: Iterable[AnyPath], what: str) -> None:
    """Checks that paths are not URLs of an object store.

    Args:
        paths: Paths to check.
        what: What the paths are, for the message.

    Raises:
        UsageError: One of them is a URL.
    """
    for path in filter(is_url, paths):
        raise UsageError(
            f"{what} cannot be at {as_url(path)}: object stores are for packs (data.path, "
            "data.features) and the workdirs of train, evaluate, predict and export. Mount the "
            "bucket (gcsfuse, Mountpoint for Amazon S3) and give the folder"
        )


def check_urls(arguments: Mapping[str, Any], allowed: Collection[str] = ()) -> None:
    """Checks that only packs to read, and what else is allowed, are URLs of an object store.

    Args:
        arguments: Values of arguments and keys by name; paths may be in lists.
        allowed: Further names of arguments that may be URLs.

    Raises:
        UsageError: Another value is such a URL.
    """
    for name, value in arguments.items():
        if name not in (*READ, *allowed):
            given = value if isinstance(value, list | tuple) else [value]
            refuse_urls((one for one in given if isinstance(one, str | os.PathLike)), name)


def find_pack(path: AnyPath) -> Path:
    """Returns the folder of a pack; one in an object store is copied to the user's cache first.

    Args:
        path: Folder, or a URL of one.

    Raises:
        UsageError: The store is not supported or cannot be read, or it holds no pack there.
        FileError: A file differs from its checksum, so the pack is damaged or still being written.
    """
    if not is_url(path):
        return Path(path)
    url = check_store(path, "a pack")
    with explain_errors(url):
        return _copy(url)


def check_store(path: AnyPath, what: str) -> str:
    """Returns the URL of a path in a store that is supported.

    Args:
        path: Path for which `is_url` holds.
        what: What the path is, for the message.

    Raises:
        UsageError: The store is another one.
    """
    url = as_url(path)
    if url.partition(":")[0] not in STORES:
        refuse_urls([path], what)
    return url


@contextlib.contextmanager
def explain_errors(url: str) -> Iterator[None]:
    """Turns the errors of a store's client into a `UsageError` that names the URL.

    Raises:
        UsageError: There is nothing at the URL, its client is not installed, or it cannot be read.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise UsageError(f"nothing is at {url}: {first_line(error)}") from error
    except ImportError as error:
        extra = STORES[url.partition(":")[0]]
        raise UsageError(
            f"{url} needs its extra: pip install 'dfjax[{extra}]' ({first_line(error)})"
        ) from error
    except (UsageError, RunError):
        raise
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(f"cannot read {url}: {first_line(error)}") from error


def as_url(path: AnyPath) -> str:
    """Returns the URL of a path, whose slashes `pathlib` has removed."""
    return URL.sub(r"\1://", os.fspath(path), count=1).rstrip("/")


def _copy(url: str) -> Path:
    from etils import epath

    source, folder = epath.Path(url), user_cache(COPIES)
    manifest = (source / MANIFEST).read_bytes()
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{os.getpid()}.partial"
    with open_lock(folder / ".lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the other processes of this machine wait for the copy
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            (partial / MANIFEST).write_bytes(manifest)
            target = folder / f"{source.name}-{hash_file(partial / MANIFEST)[:16]}"
            if target.is_dir():
                return target
            for file in source.iterdir():
                if file.name != MANIFEST and not file.name.startswith("."):
                    file.copy(partial / file.name)
            _check(partial, url)
            os.replace(partial, target)
            return target
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _check(folder: Path, url: str) -> None:
    remedy = "copy the pack to the store again"
    manifest = read_json(folder / MANIFEST, {"files": {str: str}}, remedy=remedy)
    for name, digest in manifest["files"].items():
        path = folder / name
        if not path.is_file() or hash_file(path) != digest:
            raise FileError(f"{url}/{name} is missing or differs from its checksum; {remedy}")
