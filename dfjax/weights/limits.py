"""The largest files and arrays of weights that are read."""

import lzma
import zipfile
import zlib

from dfjax.errors import FileError

MAX_BYTES = 4 << 30
"""Limit of a file and of its unpacked content; the largest network of the package has 0.3 GB."""

BROKEN_ZIP = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, MemoryError),
    *(LookupError, ValueError, RuntimeError, TypeError, NotImplementedError, OverflowError),
)
"""What reading members of a damaged zip file raises; encrypted ones are a `RuntimeError`."""


def check_size(size: int, name: str) -> None:
    """Checks that something of `size` bytes is small enough to be weights.

    Raises:
        FileError: It is not.
    """
    if size > MAX_BYTES:
        raise FileError(f"{name} has {size / 1e9:.1f} GB; at most {MAX_BYTES / 1e9:.1f} are read")
