"""Workdirs in object stores (`gs://BUCKET/RUN`, `s3://BUCKET/RUN`), which have a local copy.

A run reads and writes the copy, a folder in the user's cache, like any workdir. After each
checkpoint, and at the end, the files that have changed are uploaded, those of checkpoints after the
others. Objects are written as a whole, so that each file is that of before or after. A folder with
`checksums.json`, as steps of checkpoints and packs are, gets this file last and loses it first: a
step without it is not complete, and is neither read nor counted.

The store is what counts: a run that starts gets its content, on any machine, and what a killed run
had not uploaded is trained again. One run at a time writes a workdir (`store_lease`). The processes
of several hosts would have to write one checkpoint together, so they need a mounted bucket.
"""

import contextlib
import fcntl
import functools
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from dfjax import processes
from dfjax.console import say
from dfjax.errors import RunError, UsageError, first_line
from dfjax.files import atomic_path, open_lock
from dfjax.object_stores import AnyPath, as_url, check_store, explain_errors, is_url
from dfjax.outputs import check_inside
from dfjax.store_lease import NAME as LOCK
from dfjax.store_lease import Lease
from dfjax.user_cache import user_cache

COPIES = "workdirs"  # in the cache folder of the user
MARK = "checksums.json"  # of a complete step or pack
THREADS = 8
RETRIES = (1.0, 5.0, 25.0)  # seconds before an upload is tried again
RESULTS = ("eval", "tensorboard")
"""Folders of a workdir that those who apply its detector do not read."""


class Held(NamedTuple):
    """A workdir that a run may write.

    Attributes:
        folder: The workdir, or the local copy of one in a store.
        push: Function that uploads what has changed, if it is in a store.
    """

    folder: Path
    push: Callable[[], None]


def find_copy(workdir: AnyPath) -> Path:
    """Returns the folder of the copy that a run writes; a local workdir is its own."""
    return _copy_folder(as_url(workdir), "") if is_url(workdir) else Path(workdir)


@contextlib.contextmanager
def hold_workdir(workdir: AnyPath) -> Iterator[Held]:
    """Locks a workdir in a store for a run and makes its copy; a local one is used as it is.

    At the end, also after an error, what has changed is uploaded and the lock is released.

    Raises:
        UsageError: The store is not supported or cannot be reached, another run has locked the
            workdir, or the run has several processes.
        RunError: The store cannot be written any more, or another run has taken over.
    """
    if not is_url(workdir):
        yield Held(Path(workdir), lambda: None)
        return
    url = check_store(workdir, "a workdir")
    if processes.count() > 1:
        raise UsageError(
            f"several processes cannot write one workdir at {url}: mount the bucket (gcsfuse, "
            "Mountpoint for Amazon S3) on all hosts and give the folder"
        )
    with explain_errors(url):
        lease = Lease(url, lambda: _forget(url))
        lease.take()
    folder = find_copy(url)
    try:
        with explain_errors(url):
            download(url, folder)
        mirror = Mirror(url, folder, lease)
        try:
            yield Held(folder, mirror.push)
        finally:  # an error here is reported, as what was saved last is not in the store
            mirror.push()
    finally:
        with contextlib.suppress(Exception):  # a lock that stays expires
            lease.release()


def read_workdir_copy(workdir: AnyPath, checkpoint: str) -> Path:
    """Returns a folder to read a workdir from; for one in a store it is a fresh copy.

    The copy has one kind of checkpoint, and no results of evaluations.

    Args:
        workdir: Folder, or a URL of one.
        checkpoint: `best` or `last`.

    Raises:
        UsageError: The store is not supported or cannot be read, or it has no such workdir.
    """
    if not is_url(workdir):
        return Path(workdir)
    url = check_store(workdir, "a workdir")
    folder = _copy_folder(url, f"-{checkpoint}")

    def is_wanted(name: str) -> bool:
        parts = name.split("/")
        other = parts[0] == "checkpoints" and parts[1:2] != [checkpoint]
        return parts[0] not in RESULTS and not other

    folder.parent.mkdir(parents=True, exist_ok=True)
    with explain_errors(url), open_lock(folder.with_name(f".{folder.name}.lock")) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        download(url, folder, is_wanted)
    return folder


def publish(workdir: Any, folder: Path) -> None:
    """Uploads the files of a folder inside of a copy, where the workdir is in a store.

    Args:
        workdir: Workdir, its URL, or a detector that is loaded already.
        folder: Folder with results; nothing is done unless it is inside of what
            `read_workdir_copy` returns for the URL.
    """
    if not isinstance(workdir, str | os.PathLike) or not is_url(workdir):
        return
    url, copy = as_url(workdir), folder
    while copy.parent != user_cache(COPIES):
        copy = copy.parent
        if copy == copy.parent:
            return  # results that are elsewhere
    names = [name for name in list_files(copy) if (copy / name).is_relative_to(folder)]
    upload(url, copy, names)
    say(f"uploaded to {url}/{folder.relative_to(copy).as_posix()}")


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

    _forget(url)
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


def _copy_folder(url: str, suffix: str) -> Path:
    digest = hashlib.sha256(url.encode()).hexdigest()[:12]
    return user_cache(COPIES) / f"{url.rpartition('/')[2]}-{digest}{suffix}"


def _forget(url: str) -> None:
    """Makes the client of a store forget its listings, which other machines may have changed."""
    import fsspec

    fsspec.filesystem(url.partition(":")[0]).invalidate_cache()
