"""Decodes image files as RGB arrays. Animations are sequences of frames.

Images are checked before they are decoded: only the formats in `FORMATS` are read, and only up to
`MAX_PIXELS`.
"""

import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from typing import NamedTuple

import cv2
import numpy as np
import PIL.Image
import PIL.ImageOps
from jaxtyping import UInt8

from dfjax.errors import InputError

MAX_PIXELS = 64 * 1024 * 1024  # per frame: twice those of 8K; 192 MiB decoded
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP")
ANIMATED = ("GIF", "WEBP", "AVIF")  # decoded by Pillow, the others by OpenCV

DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, RuntimeError, LookupError, TypeError),
    *(struct.error, zlib.error, MemoryError, OverflowError, AttributeError),
)
"""What Pillow raises on damaged files, which depends on the format."""

Frame = UInt8[np.ndarray, "H W 3"]


class ImageInfo(NamedTuple):
    """Properties of an image. `seconds` is the duration of a frame, None for a single one."""

    n_frames: int
    width: int
    height: int
    codec: str
    seconds: float | None


def describe_image(file: BufferedReader) -> ImageInfo:
    """Returns the properties of an image, after decoding its first frame.

    Raises:
        InputError: The file is not an image, damaged, or too large.
    """
    n_frames = count_frames(file)
    height, width = next(iterate_image(file, [0])).shape[:2]
    with _open_image(file) as image:
        codec = "jpeg" if image.format in ("JPEG", "MPO") else str(image.format).lower()
        milliseconds = 0.0
        if n_frames > 1:
            image.load()  # the duration of a frame is known when it is decoded
            milliseconds = float(image.info.get("duration") or 0)
    return ImageInfo(n_frames, width, height, codec, milliseconds / 1000 or None)


def count_frames(file: BufferedReader) -> int:
    """Returns the number of frames of an image, which is 1 except for animations.

    Raises:
        InputError: The file is not an image, damaged, or too large.
    """
    with _open_image(file) as image:
        return getattr(image, "n_frames", 1) if image.format in ANIMATED else 1


def read_texts(file: BufferedReader) -> list[str]:
    """Returns the texts in the metadata of an image that precede its pixels.

    Raises:
        InputError: The file is not an image, damaged, or too large.
    """
    with _open_image(file) as image:
        return [text for text in image.info.values() if isinstance(text, str)]


def iterate_image(file: BufferedReader, indices: Sequence[int]) -> Iterator[Frame]:
    """Yields the frames with these numbers, one in memory at a time.

    Args:
        file: Image file.
        indices: Numbers of existing frames, in ascending order.

    Raises:
        InputError: The file is not an image, damaged, or too large.
    """
    with _open_image(file) as image:
        if image.format in ANIMATED:
            for index in indices:
                image.seek(index)
                yield np.asarray(PIL.ImageOps.exif_transpose(image).convert("RGB"))
            return
    file.seek(0)
    bgr = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise InputError("the image is damaged")
    yield cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def check_size(width: int, height: int) -> None:
    """Raises an `InputError` for a frame of more than `MAX_PIXELS`."""
    if width * height > MAX_PIXELS:
        raise InputError(f"{width}x{height} is more than the {MAX_PIXELS} pixels allowed")


@contextmanager
def _open_image(file: BufferedReader) -> Iterator[PIL.Image.Image]:
    file.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the readers of formats say of damage
            warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
            opened = PIL.Image.open(file, formats=FORMATS)  # reads the header only
        with opened as image:
            check_size(*image.size)
            yield image
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
        raise InputError(f"the image has more than the {MAX_PIXELS} pixels allowed") from error
    except DAMAGE as error:
        raise InputError("not an image, or damaged") from error
