"""Copies of workdirs in object stores: which files belong to them, and how they are moved.

Objects are written as a whole, so that each file is that of before or after. A folder with
`checksums.json`, as steps of checkpoints and packs are, gets this file last and loses it first: a
step without it is not complete, and is neither read nor counted.
"""

import functools
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dfjax.errors import RunError, first_line
from dfjax.files import atomic_path
from dfjax.outputs import check_inside
from dfjax.store_lease import NAME as LOCK
from dfjax.store_lease import Lease

MARK = "checksums.json"  # of a complete step or pack
THREADS = 8
RETRIES = (1.0, 5.0, 25.0)  # seconds before an upload is tried again


class Mirror:
    """The copy of a workdir, and what of it is in the store.

    Args:
        url: URL of the workdir.
        folder: Its copy, just downloaded.
        lease: Lock of the run.
    """

    def __init__(self, url: str, folder: Path, lease: Lease) -> None:
        self.url, self.folder, self.lease = url, folder, lease
        self.known = list_files(folder)

    def push(self) -> None:
        """Uploads the files that have changed, and removes those that are gone.

        Raises:
            RunError: The store cannot be written, or another run has taken over.
        """
        from etils import epath

        self.lease.check()
        now = list_files(self.folder)
        upload(self.url, self.folder, [name for name in now if now[name] != self.known.get(name)])
        gone = sorted(self.known.keys() - now.keys(), key=lambda name: -_order(name))
        for name in gone:
            remove = functools.partial((epath.Path(self.url) / name).unlink, missing_ok=True)
            _retry(remove, f"{self.url}/{name}")
        self.known = now


def list_files(folder: Path) -> dict[str, tuple[int, int]]:
    """Returns size and time of the files of a workdir that belong in the store, by name.

    Hidden files and unfinished steps do not.
    """
    found = {}
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _is_temporary(name)]
        for name in files:
            if not _is_temporary(name):
                status = os.stat(os.path.join(place, name))
                relative = Path(place, name).relative_to(folder).as_posix()
                found[relative] = (status.st_size, status.st_mtime_ns)
    return found


def _is_temporary(name: str) -> bool:
    return name.startswith(".") or "orbax-checkpoint-tmp" in name or name == LOCK


def _order(name: str) -> int:
    """Returns the order in which a file is uploaded: marks of complete folders come last."""
    if Path(name).name == MARK:
        return 2
    return 1 if name.startswith("checkpoints/") else 0


def upload(url: str, folder: Path, names: Iterable[str]) -> None:
    """Uploads files of a workdir's copy, in the order in which they depend on each other.

    Raises:
        RunError: The store cannot be written.
    """
    from etils import epath

    target, names = epath.Path(url), list(names)

    def send(name: str) -> None:
        epath.Path(folder / name).copy(target / name, overwrite=True)

    for order in range(3):
        chosen = [name for name in names if _order(name) == order]
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda name: _retry(lambda: send(name), f"{url}/{name}"), chosen))


def _retry(call: Callable[[], Any], what: str) -> None:
    for wait in (*RETRIES, None):
        try:
            call()
            return
        except Exception as error:  # clients of stores raise any kind
            if wait is None:
                raise RunError(f"cannot write {what}: {first_line(error)}") from error
            time.sleep(wait)


def download(url: str, folder: Path, is_wanted: Callable[[str], bool] = lambda name: True) -> None:
    """Makes a folder hold the files of a workdir in a store, and no others that are wanted.

    Files of folders whose mark is the same are not copied again.
    """
    from etils import epath

    forget(url)
    source = epath.Path(url)
    names = [name for name in _list_store(source) if is_wanted(name)]
    whole = {name for name in names if _is_complete(name, names)}
    for name in list_files(folder).keys() - whole:
        (folder / name).unlink()
    marks = {name: (source / name).read_bytes() for name in whole if _order(name) == 2}
    same = {
        os.path.dirname(name) for name, content in marks.items()
        if (folder / name).is_file() and (folder / name).read_bytes() == content
    }  # fmt: skip
    kept = {name for name in whole if any(name.startswith(f"{place}/") for place in same)}

    def fetch(name: str) -> None:
        check_inside(folder / name, folder)
        with atomic_path(folder / name) as partial:
            (source / name).copy(partial, overwrite=True)

    folder.mkdir(parents=True, exist_ok=True)
    for order in range(3):
        chosen = [name for name in whole - kept if _order(name) == order]
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(fetch, chosen))


def _list_store(source: Any) -> list[str]:
    """Returns the names of the objects of a workdir."""
    found, top = [], None
    for place, _, files in source.walk():
        top = top or str(place)  # without gs://, which epath drops here
        relative = os.path.relpath(str(place), top)
        found += [name if relative == "." else f"{relative}/{name}" for name in files]
    return [name for name in found if not any(map(_is_temporary, name.split("/")))]


def _is_complete(name: str, names: list[str]) -> bool:
    """Returns whether a file is of no step, or of one that was uploaded to its end."""
    parts = name.split("/")
    if "checkpoints" not in parts[:-3]:
        return True
    step = parts[: parts.index("checkpoints") + 3]
    return "/".join([*step, MARK]) in names


def forget(url: str) -> None:
    """Makes the client of a store forget its listings, which other machines may have changed."""
    import fsspec

    fsspec.filesystem(url.partition(":")[0]).invalidate_cache()
