"""Workdirs in object stores (`gs://BUCKET/RUN`, `s3://BUCKET/RUN`), which have a local copy.

A run reads and writes the copy, a folder in the user's cache, like any workdir. After each
checkpoint, and at the end, the files that have changed are uploaded (`store_copies`), those of
checkpoints after the others.

The store is what counts: a run that starts gets its content, on any machine, and what a killed run
had not uploaded is trained again. One run at a time writes a workdir (`store_lease`). Of a run in
several processes each has a copy of its own, and process 0 alone writes checkpoints and uploads.
"""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from dfjax import processes
from dfjax.console import say
from dfjax.files import open_lock
from dfjax.object_stores import AnyPath, as_url, check_store, explain_errors, is_url
from dfjax.store_copies import Mirror, download, forget, list_files, upload
from dfjax.store_lease import Lease
from dfjax.user_cache import user_cache

COPIES = "workdirs"  # in the cache folder of the user
RESULTS = ("eval", "tensorboard")
"""Folders of a workdir that those who apply its detector do not read."""


class Held(NamedTuple):
    """A workdir that a run may write.

    Attributes:
        folder: The workdir, or the local copy of one in a store.
        push: Function that uploads what has changed, if it is in a store.
        share: Function that all processes call together. It gives the copies of the others what
            process 0 has written since.
        is_shared: Whether all processes of the run see the same folder.
    """

    folder: Path
    push: Callable[[], None] = lambda: None
    share: Callable[[], None] = lambda: None
    is_shared: bool = True


def find_copy(workdir: AnyPath) -> Path:
    """Returns the folder of the copy that this process writes; a local workdir is its own."""
    if not is_url(workdir):
        return Path(workdir)
    number = processes.index()  # processes may be on one machine
    return _copy_folder(as_url(workdir), f"-process{number}" if number else "")


@contextlib.contextmanager
def hold_workdir(workdir: AnyPath) -> Iterator[Held]:
    """Locks a workdir in a store for a run and makes its copy; a local one is used as it is.

    At the end, also after an error, what has changed is uploaded and the lock is released. All
    processes of a run call this together.

    Raises:
        UsageError: The store is not supported or cannot be reached, or another run has locked the
            workdir.
        RunError: The store cannot be written any more, or another run has taken over.
    """
    if not is_url(workdir):
        yield Held(Path(workdir))
        return
    url, folder = check_store(workdir, "a workdir"), find_copy(workdir)
    lease = Lease(url, lambda: forget(url))  # taken by process 0
    with processes.held_by_first(_locked(url, lease)):
        with explain_errors(url):
            download(url, folder)
        processes.wait_for_all()  # nothing is uploaded before all have the same
        push = Mirror(url, folder, lease).push if processes.is_first() else lambda: None

        def share() -> None:
            if processes.count() == 1:
                return
            with processes.first_alone():
                push() if processes.is_first() else download(url, folder)

        try:
            yield Held(folder, push, share, is_shared=processes.count() == 1)
        finally:  # an error here is reported, as what was saved last is not in the store
            push()


@contextlib.contextmanager
def _locked(url: str, lease: Lease) -> Iterator[None]:
    try:
        with explain_errors(url):
            lease.take()
        yield
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


def _copy_folder(url: str, suffix: str) -> Path:
    digest = hashlib.sha256(url.encode()).hexdigest()[:12]
    return user_cache(COPIES) / f"{url.rpartition('/')[2]}-{digest}{suffix}"
