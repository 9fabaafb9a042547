"""Tests optical flow: a known shift, an error of at most 1/32 pixel, and exact .flo files."""

import struct

import cv2
import numpy as np
import pytest

from dfjax.data.store.flo_file import read_flo, write_flo
from dfjax.data.store.flow import (
    MAX_ERROR,
    MAX_FLOW,
    compute_clip_flow,
    compute_flow,
    decode_flow,
    encode_flow,
)
from dfjax.errors import InputError

RNG = np.random.default_rng(0)


def texture(side):
    noise = RNG.integers(0, 256, (side, side, 3), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)


def test_a_shift_is_found_with_its_sign():
    picture = texture(100)
    first, second = picture[10:74, 10:74].copy(), picture[13:77, 8:72].copy()
    flow = compute_flow(first, second)  # what is at x in the first is at x + 2, y - 3
    assert flow.shape == (64, 64, 2) and flow.dtype == np.float32
    inside = flow[8:-8, 8:-8].reshape(-1, 2)
    np.testing.assert_allclose(np.median(inside, axis=0), [2, -3], atol=0.1)


def test_flow_of_clips_is_that_of_their_neighbours_and_zeros_beside_padding():
    picture = texture(64)
    clip = np.stack([np.roll(picture, 2 * frame, axis=1) for frame in range(4)])
    mask = np.array([[True] * 4, [False, True, True, False]])
    flow = compute_clip_flow(np.stack([clip, clip]), mask)
    assert flow.shape == (2, 3, 64, 64, 2) and flow.dtype == np.float16
    np.testing.assert_array_equal(flow[1, [0, 2]], 0)
    np.testing.assert_array_equal(flow[1, 1], flow[0, 1])
    stored = decode_flow(encode_flow(compute_flow(clip[1], clip[2])))
    np.testing.assert_array_equal(flow[0, 1], stored)  # what a pack would hold
    assert abs(np.median(flow[0, :, 16:-16, 16:-16, 0]) - 2) < 0.1


@pytest.mark.parametrize("side", [8, 16, 31])
def test_small_crops_have_flow_in_their_own_pixels(side):
    picture = cv2.resize(texture(24), (96, 96), interpolation=cv2.INTER_CUBIC)
    first, second = picture[:side, 1 : side + 1].copy(), picture[:side, :side].copy()
    flow = compute_flow(first, second)
    assert flow.shape == (side, side, 2)
    np.testing.assert_allclose(np.median(flow.reshape(-1, 2), axis=0), [1, 0], atol=0.35)


@pytest.mark.parametrize("scale", [0.01, 1.0, 50.0, 500.0])
def test_storing_errs_by_a_32nd_of_a_pixel_at_most(scale):
    flow = (RNG.normal(size=(20, 30, 2)) * scale).astype(np.float32)
    stored = decode_flow(encode_flow(flow))
    assert stored.shape == flow.shape and stored.dtype == np.float32
    rounding = 2.0**-23 * np.abs(flow).max()  # of float32 itself
    assert np.abs(stored - flow).max() <= MAX_ERROR + rounding
    assert MAX_ERROR == 1 / 32
    np.testing.assert_array_equal(decode_flow(encode_flow(stored)), stored)


def test_whole_pixels_are_exact_also_as_float16():
    flow = np.arange(-127, 128, dtype=np.float32)[:, None, None].repeat(2, axis=2)
    np.testing.assert_array_equal(decode_flow(encode_flow(flow)).astype(np.float16), flow)
    edge = np.full((1, 1, 2), MAX_FLOW, np.float32)
    np.testing.assert_array_equal(decode_flow(encode_flow(-edge)), -edge)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e9, MAX_FLOW + 1])
def test_unknown_flow_is_not_stored(value):
    with pytest.raises(InputError, match="unknown pixels"):
        encode_flow(np.full((2, 2, 2), value, np.float32))


def test_what_is_no_flow_is_refused():
    good = encode_flow(np.zeros((4, 4, 2), np.float32))
    other = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
    for data in (b"", b"text", good[:20], other):
        with pytest.raises(InputError, match="not a flow"):
            decode_flow(data)


def test_flo_files_are_exact_and_those_of_opencv(tmp_path):
    flow = RNG.normal(size=(5, 7, 2)).astype(np.float32)
    flow[0, 0], flow[1, 1], flow[2, 2] = [np.nan, np.inf], [1e10, -0.0], [1e-42, 3]
    write_flo(flow, tmp_path / "ours.flo")
    cv2.writeOpticalFlow(str(tmp_path / "cv.flo"), flow)
    data = (tmp_path / "ours.flo").read_bytes()
    assert data == (tmp_path / "cv.flo").read_bytes()
    assert data[:4] == b"PIEH" and len(data) == 12 + 5 * 7 * 8
    assert read_flo(tmp_path / "cv.flo").tobytes() == flow.tobytes()
    read = read_flo(tmp_path / "ours.flo")
    assert read.tobytes() == cv2.readOpticalFlow(str(tmp_path / "ours.flo")).tobytes()
    write_flo(read[:, ::-1], tmp_path / "mirrored.flo")  # not contiguous
    assert read_flo(tmp_path / "mirrored.flo").tobytes() == flow[:, ::-1].tobytes()


def flo(width, height, data=b""):
    return b"PIEH" + struct.pack("<ii", width, height) + data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a .flo file"),
        (b"PIEH\1\0", "not a .flo file"),
        (b"HEIP" + flo(1, 1, b"\0" * 8)[4:], "not a .flo file"),
        (flo(2, 2, b"\0" * 31), "31 bytes of flow instead of 32"),
        (flo(2, 2, b"\0" * 40), "40 bytes of flow instead of 32"),
        (flo(0, 5), "0x5 pixels"),
        (flo(-3, -3, b"\0" * 72), "-3x-3 pixels"),
        (flo(2**31 - 1, 2**31 - 1), "2147483647x2147483647 pixels"),
    ],
)
def test_damaged_flo_files(tmp_path, data, message):
    (tmp_path / "x.flo").write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_flo(tmp_path / "x.flo")
    with pytest.raises(InputError, match="No such file"):
        read_flo(tmp_path / "absent.flo")
