"""The size of an image is read from its header, before a decoder allocates its pixels."""

import io
import struct
import zlib

import cv2
import numpy as np
import PIL.Image
import pytest

from dfjax.data.faces import crop_codec
from dfjax.data.faces.crop_codec import decode_image, read_size

PICTURE = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 37, 3), np.uint8))


def encode(picture=PICTURE, **options):
    buffer = io.BytesIO()
    picture.save(buffer, **options)
    return buffer.getvalue()


def thumbnail():
    """A JPEG whose metadata hold the header of another JPEG, of 9 x 9 pixels."""
    small = encode(PICTURE.resize((9, 9)), format="JPEG")
    return encode(format="JPEG", exif=b"Exif\0\0" + small)


def png(width, height):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    ends = chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return crop_codec.PNG + chunk(b"IHDR", header) + ends


@pytest.mark.parametrize(
    "data",
    [
        encode(format="JPEG"), encode(format="JPEG", progressive=True), thumbnail(),
        encode(PICTURE.convert("L"), format="JPEG"), encode(format="PNG"),
        encode(PICTURE.convert("P"), format="PNG"), encode(format="JPEG", comment=b"\xff\xc0" * 9),
        encode(format="JPEG").replace(b"\xff\xdb", b"\xff\xff\xff\xdb", 1),
    ],
)  # fmt: skip
def test_the_size_is_that_of_the_decoder(data):
    assert read_size(data) == (37, 24)
    np.testing.assert_array_equal(
        decode_image(data), cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    )
    assert decode_image(data, most_pixels=24 * 37 - 1) is None


@pytest.mark.parametrize("side", [30_000, 60_000, 2**31 - 1])
def test_an_image_that_claims_gigabytes_is_not_decoded(monkeypatch, side):
    monkeypatch.setattr(cv2, "imdecode", None)
    assert decode_image(png(side, side)) is None
    bomb = bytearray(encode(format="JPEG"))
    place = bomb.index(b"\xff\xc0")
    bomb[place + 5 : place + 9] = struct.pack(">HH", min(side, 65_535), min(side, 65_535))
    assert decode_image(bytes(bomb)) is None


def test_cut_and_other_files_have_no_size():
    whole = [encode(format="JPEG"), encode(format="PNG")]
    cut = [data[:n] for data in whole for n in (0, 1, 3, 15, 20, 160)]
    others = [b"", b"GIF89a", b"\xff\xd8" + bytes(100), b"\xff\xd8" + b"\xff" * 100]
    assert all(decode_image(data) is None for data in [*cut, *others])
