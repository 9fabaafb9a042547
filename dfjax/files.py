"""Atomic writes, locks on folders, and values for strict JSON."""

import errno
import fcntl
import functools
import hashlib
import json
import os
import re
import socket
import stat
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

from dfjax.errors import FileError, UsageError
from dfjax.json_files import read_json

_HOST = f"{zlib.crc32(socket.gethostname().encode()):08x}"
_PARTIAL = re.compile(r"\.[0-9a-f]{8}\.([0-9a-f]{8})-(\d{1,9})\.partial")
"""Names of temporary files: the hash of the file's name, that of the machine's, and the process."""


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path next to `path`, which is renamed to `path` if the block succeeds.

    The folder is created if it does not exist. The temporary path has the same suffix, for writers
    that choose a format by it, and a short name, so that every name that a file system allows can
    be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path.parent.resolve(), os.getpid())
    name = f".{_hash_name(path)}.{_HOST}-{os.getpid()}.partial{path.suffix[:16]}"
    partial = path.with_name(name)
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@functools.lru_cache(maxsize=1024)
def _remove_abandoned(folder: Path, reader: int) -> None:
    """Removes temporary files of processes of this machine that were killed, once per folder.

    Args:
        folder: Folder to look in.
        reader: Number of this process, whose copies after a fork look again.
    """
    for name in os.listdir(folder):
        match = _PARTIAL.match(name)
        if match and match[1] == _HOST and not is_running(int(match[2])):
            (folder / name).unlink(missing_ok=True)


def is_running(process: int) -> bool:
    """Returns whether a process of this machine has this number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def remove_partial(path: str | os.PathLike[str]) -> None:
    """Removes the temporary files of `path` that killed processes have left."""
    path = Path(path)
    for left in path.parent.glob(f".{_hash_name(path)}.*.partial*"):
        left.unlink(missing_ok=True)


def _hash_name(path: Path) -> str:
    return f"{zlib.crc32(os.fsencode(path.name)):08x}"


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Returns a file opened for reading; a pipe or device, which could block, is an `OSError`."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
    return open(path, "rb")


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Returns the content of a regular file (see `open_regular`)."""
    with open_regular(path) as file:
        return file.read()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a text file in UTF-8 atomically."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any, *, indent: int = 2) -> None:
    """Writes `value` as strict JSON (NaN and infinity become null) atomically."""
    write_text(path, json.dumps(finite(value), indent=indent) + "\n")


def finite(value: Any) -> Any:
    """Returns `value` with every NaN and infinity replaced by None, for strict JSON."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not (float("-inf") < value < float("inf")):
        return None
    return value


def record_settings(
    path: Path, settings: dict[str, Any], *, content: str, defaults: Mapping[str, Any] | None = None
) -> None:
    """Writes the settings of a folder's content to a JSON file, or checks those in the file.

    Args:
        path: JSON file in the folder.
        settings: Settings, which can be represented in JSON.
        content: What the folder holds, for the message.
        defaults: Values of settings that the file of an older version lacks.

    Raises:
        UsageError: The file is damaged or has other settings; the message lists the differences.
    """
    settings = json.loads(json.dumps(settings))  # tuples become lists, as in the file
    remedy = f"delete {path.parent}, or choose another folder"
    if path.exists():
        old = json.loads(json.dumps(dict(defaults or {})))
        old |= read_json(path, {str: object}, remedy=remedy)
        changed = [f"{k}: {old.get(k)} -> {v}" for k, v in settings.items() if old.get(k) != v]
        if changed:
            raise UsageError(
                f"{path.parent} holds {content} made with other settings ({'; '.join(changed)}); "
                "choose another folder, or delete it"
            )
    write_json(path, settings)


def open_lock(path: Path) -> BinaryIO:
    """Returns a lock file, which is created if it does not exist and else stays as it is.

    A file of this name may come with a folder of somebody else: a symbolic link is not followed,
    and a named pipe does not block.

    Raises:
        OSError: The file cannot be opened, or is a symbolic link.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    return open(os.open(path, flags, 0o666), "rb", buffering=0)


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Locks a folder by the file `.NAME.lock` beside it; the lock ends with the block or process.

    Raises:
        UsageError: Another process has locked the folder.
    """
    path = folder.with_name(f".{folder.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_lock(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The previous owner may have removed the file between our opening and locking it.
            if not path.exists() or os.stat(path).st_ino != os.fstat(file.fileno()).st_ino:
                raise BlockingIOError
        except BlockingIOError:
            raise UsageError(
                f"another process is writing {folder}; wait for it, or choose another folder"
            ) from None
        try:
            yield
        finally:
            path.unlink()


def hash_file(path: str | os.PathLike[str]) -> str:
    """Returns the SHA-256 of a regular file (see `open_regular`), in hexadecimal."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_json(value: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of a JSON object without its key `sha256`, in hexadecimal.

    Spaces and the order of keys do not matter, all values do.
    """
    content = {key: item for key, item in value.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write_hashed_json(path: str | os.PathLike[str], value: Mapping[str, Any]) -> None:
    """Writes an object as strict JSON atomically, with its `hash_json` as the last key `sha256`."""
    content: dict[str, Any] = finite(dict(value))
    write_json(path, {**content, "sha256": hash_json(content)}, indent=1)


def read_hashed_json(path: str | os.PathLike[str], schema: dict[str, Any], *, remedy: str) -> Any:
    """Returns the object in a file of `write_hashed_json`.

    The hash shows damage and edits by hand. It is no signature: whoever means to can renew it.

    Args:
        path: JSON file.
        schema: Schema of the object (see `json_files`) without the hash.
        remedy: What to do about a damaged file, for the error message.

    Raises:
        FileError: See `read_json`; or the content is not what was written.
    """
    value = read_json(path, {**schema, "sha256": str}, remedy=remedy)
    if hash_json(value) != value["sha256"]:
        raise FileError(
            f"{path} was changed since it was written: its content does not have the sha256 that "
            f"it names; {remedy}"
        )
    return value


def hash_folder(folder: Path) -> str:
    """Returns the SHA-256 of the names and contents of all files below a folder, in hexadecimal."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(str(file.relative_to(folder)).encode())
        with file.open("rb") as opened:
            while block := opened.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def check_regular(path: str | os.PathLike[str]) -> None:
    """Checks that a path is a file, since opening a named pipe would wait for a writer.

    Raises:
        FileError: It is not.
    """
    if not os.path.isfile(path):
        raise FileError(f"{path} is not a file")


def as_tuple(value: Any) -> Any:
    """Returns `value` with all lists, also nested ones, replaced by tuples."""
    return tuple(map(as_tuple, value)) if isinstance(value, list | tuple) else value
