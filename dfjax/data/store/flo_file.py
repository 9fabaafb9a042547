"""Reads and writes Middlebury `.flo` files (Baker et al. 2011), the format of RAFT and others.

The files are little-endian: the float 202021.25, int32 width, int32 height, then float32 u and v of
every pixel, row by row.
"""

import os

import numpy as np
from jaxtyping import Float32

from dfjax.data.faces.images import MAX_PIXELS
from dfjax.errors import InputError
from dfjax.files import atomic_path, open_regular

TAG = np.float32(202021.25).tobytes()  # spells PIEH
HEADER_BYTES = 12


def read_flo(path: str | os.PathLike[str]) -> Float32[np.ndarray, "H W 2"]:
    """Returns the flow in a file in pixels, bit for bit. Unknown pixels have values above 1e9.

    Raises:
        InputError: The file is unreadable, not a `.flo` file, of the wrong length, or its picture
            size is out of range.
    """
    try:
        with open_regular(path) as file:
            header = file.read(HEADER_BYTES)
            if len(header) < HEADER_BYTES or header[:4] != TAG:
                raise InputError("not a .flo file")
            width, height = (int(n) for n in np.frombuffer(header[4:], "<i4"))
            if width < 1 or height < 1 or width * height > MAX_PIXELS:
                raise InputError(f"a .flo file of {width}x{height} pixels, which is out of range")
            wanted = width * height * 8
            there = os.fstat(file.fileno()).st_size - HEADER_BYTES
            if there != wanted:
                raise InputError(f"a .flo file with {there} bytes of flow instead of {wanted}")
            data = np.frombuffer(file.read(wanted), "<f4")
    except OSError as error:
        raise InputError(f"cannot be opened: {error.strerror}") from error
    return data.reshape(height, width, 2).astype(np.float32)


def write_flo(flow: Float32[np.ndarray, "H W 2"], path: str | os.PathLike[str]) -> None:
    """Writes a flow to a file, atomically.

    Args:
        flow: Flow in pixels.
        path: `.flo` file to write.
    """
    height, width = flow.shape[:2]
    size = np.array([width, height], "<i4").tobytes()
    with atomic_path(path) as partial:
        partial.write_bytes(TAG + size + np.ascontiguousarray(flow, "<f4").tobytes())
