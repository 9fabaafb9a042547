"""Encodes face crops as extraction stores them, and decodes those that others may have written.

A file of a few hundred bytes can claim to be an image of gigabytes, which a decoder would allocate.
The size is therefore read from the header first.
"""

import cv2
import numpy as np
from jaxtyping import UInt8

from dfjax.data.faces.images import MAX_PIXELS
from dfjax.errors import InputError

PNG = b"\x89PNG\r\n\x1a\n"
_NO_LENGTH = {0x01, *range(0xD0, 0xD9)}  # JPEG markers without a segment
_SIZE = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # JPEG markers of a segment with the size


def encode_crop(crop: UInt8[np.ndarray, "S S 3"], quality: int) -> bytes:
    """Returns an RGB crop encoded as JPEG.

    Args:
        crop: Crop of S x S pixels.
        quality: JPEG quality, 0 to 100.
    """
    bgr = cv2.cvtColor(crop, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def decode_crop(data: bytes) -> UInt8[np.ndarray, "S S 3"]:
    """Returns the RGB crop in an image file, decoded as by packs.

    Raises:
        InputError: The file is damaged, or too large.
    """
    image = decode_image(data)
    if image is None:
        raise InputError("the crop is damaged")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def decode_image(
    data: bytes, flags: int = cv2.IMREAD_COLOR, *, most_pixels: int = MAX_PIXELS
) -> np.ndarray | None:
    """Returns the pixels of a JPEG or PNG file as OpenCV decodes them.

    The result is None if the file is damaged, of another format, or of more than `most_pixels`.

    Args:
        data: Content of the file.
        flags: Flags of `cv2.imdecode`.
        most_pixels: Largest number of pixels that the header may name.
    """
    size = read_size(data)
    if size is None or not 0 < size[0] * size[1] <= most_pixels:
        return None
    return cv2.imdecode(np.frombuffer(data, np.uint8), flags)


def read_size(data: bytes) -> tuple[int, int] | None:
    """Returns width and height in the header of a JPEG or PNG file; None for anything else."""
    if data.startswith(PNG):
        known = data[12:16] == b"IHDR" and len(data) >= 24
        return (_number(data[16:20]), _number(data[20:24])) if known else None
    if not data.startswith(b"\xff\xd8"):
        return None
    place = 2
    while (place := data.find(b"\xff", place)) >= 0:  # as libjpeg, which skips what is no marker
        while data[place : place + 1] == b"\xff":
            place += 1
        marker = data[place] if place < len(data) else 0
        place += 1
        if marker in _SIZE:
            height, width = data[place + 3 : place + 5], data[place + 5 : place + 7]
            return (_number(width), _number(height)) if len(width) == 2 else None
        if marker and marker not in _NO_LENGTH:
            place += _number(data[place : place + 2])
    return None


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
