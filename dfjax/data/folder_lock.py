"""One process at a time may write a folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dfjax.errors import UsageError


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Holds the file `.NAME.lock` beside a folder while the block runs; a killed process frees it.

    Raises:
        UsageError: another process holds it.
    """
    path = folder.with_name(f".{folder.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The holder before us may have removed the file between our opening and locking it.
            if not path.exists() or os.stat(path).st_ino != os.fstat(file.fileno()).st_ino:
                raise BlockingIOError
        except BlockingIOError:
            raise UsageError(
                f"another process is writing {folder}; wait for it, or choose another --out"
            ) from None
        try:
            yield
        finally:
            path.unlink()
