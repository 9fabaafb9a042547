"""Encodes and decodes face crops as extraction stores them."""

import cv2
import numpy as np
from jaxtyping import UInt8

from dfjax.errors import InputError


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
        InputError: The file is damaged.
    """
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError("the crop is damaged")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
