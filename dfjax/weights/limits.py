"""The largest weights files that are read, and the errors that damaged ones cause."""

import lzma
import struct
import zipfile
import zlib

from safetensors import SafetensorError

from dfjax.errors import FileError

MAX_BYTES = 4 << 30
"""Limit of a file and of its unpacked content. The largest network of the package, `dinov3_h16`,
has 3.4 GB in float32."""

MAX_RATIO = 50
"""How many times its own size a file may unpack to; weights hardly shrink when they are packed."""

FREE_BYTES = 16 << 20
"""Size of unpacked content that is read whatever the size of the file."""

DAMAGED = (
    *(RuntimeError, ValueError, EOFError, OSError, LookupError, AttributeError, TypeError),
    *(AssertionError, MemoryError, OverflowError, struct.error),  # RuntimeError: recursion too
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, SafetensorError),
)
"""What torch, h5py, NumPy and safetensors raise on damaged files and on those of another kind."""


def check_size(size: int, name: str, *, stored: int | None = None) -> None:
    """Checks that something of `size` bytes is small enough to be weights.

    Args:
        size: Size of a file, or of its content when it is unpacked.
        name: Name of the file, for the message.
        stored: Size of the file, where `size` is that of its content.

    Raises:
        FileError: It is too large, or too large for the file that it is packed in.
    """
    if size > MAX_BYTES:
        raise FileError(f"{name} has {size / 1e9:.1f} GB; at most {MAX_BYTES / 1e9:.1f} are read")
    if stored is not None and size > max(FREE_BYTES, MAX_RATIO * stored):
        raise FileError(
            f"{name} has {stored} bytes and would unpack to {size}; at most {MAX_RATIO} times the "
            "size of a file is read"
        )
