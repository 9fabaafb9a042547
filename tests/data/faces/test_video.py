"""Tests that decoding returns the requested frames and that a damaged file gives one error line."""

import hashlib
import os
import struct
import zlib
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from dfjax.data.faces import video
from dfjax.data.faces.video import ShortVideoError, iterate_frames, probe, read_frames
from dfjax.errors import InputError

# --- what is right


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.avi", "mpeg4"), ("a.mov", "libx264")]
)
def test_frames_are_exact(tmp_path, make_video, name, codec):
    path = make_video(tmp_path / name, codec=codec)
    numbers = [0, 1, 7, 13, 19]
    frames = read_frames(path, numbers)
    for number, frame in zip(numbers, frames):
        assert frame.shape == (48, 64, 3) and frame.dtype == np.uint8
        assert abs(float(frame[30:, 40:].mean()) - (10 + 10 * number)) < 5  # half a step
        assert abs(float(frame[4:20, 4:28].mean()) - (50 + 10 * number)) < 5


def test_probe_counts_frames_and_hashes(tmp_path, make_video):
    path = make_video(tmp_path / "a.mp4", n_frames=17)
    info = probe(path)
    assert (info.n_frames, info.width, info.height, info.fps) == (17, 64, 48, 25.0)
    assert info.codec == "h264" and info.duration == pytest.approx(17 / 25)
    assert info.bytes == path.stat().st_size
    assert info.bitrate == round(info.bytes * 8 / info.duration)
    assert info.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_the_rotation_of_the_file_is_applied(tmp_path, make_video, turn):
    path = make_video(tmp_path / "a.mp4")
    rotate_mp4(path, turn)
    (frame,) = read_frames(path, [0])
    info = probe(path)
    shape = (64, 48, 3) if turn != 180 else (48, 64, 3)
    assert frame.shape == shape and (info.height, info.width) == shape[:2]
    # The bright quarter was top left; a display matrix turns clockwise.
    rows = slice(4, 16) if turn == 90 else slice(-16, -4)
    columns = slice(4, 16) if turn == 270 else slice(-16, -4)
    assert frame[rows, columns].mean() > 40 > frame.mean()


def rotate_mp4(path, turn):
    """Rewrites the track's display matrix (ISO 14496-12, 8.3.2) to turn the picture clockwise."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    c, s = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[turn]
    one = 1 << 16
    values = (c * one, s * one, 0, -s * one, c * one, 0, 0, 0, 1 << 30)
    data[matrix : matrix + 36] = struct.pack(">9i", *values)
    path.write_bytes(data)


def test_images_are_videos_of_one_frame(tmp_path):
    rgb = np.zeros((5, 7, 3), np.uint8)
    rgb[..., 0] = 200
    cv2.imwrite(str(tmp_path / "a.png"), rgb[..., ::-1])
    (frame,) = read_frames(tmp_path / "a.png", [0])
    assert np.array_equal(frame, rgb)
    info = probe(tmp_path / "a.png")
    assert (info.n_frames, info.width, info.height, info.codec) == (1, 7, 5, "png")
    assert info.fps is info.duration is info.bitrate is None
    with pytest.raises(ShortVideoError, match="an image has one frame"):
        read_frames(tmp_path / "a.png", [0, 1])


@pytest.mark.parametrize("kind", ["gray", "gray16", "alpha", "rgb16"])
def test_unusual_pngs_become_8_bit_rgb(tmp_path, kind):
    image = {
        "gray": np.full((4, 6), 100, np.uint8),
        "gray16": np.full((4, 6), 100 * 257, np.uint16),
        "alpha": np.full((4, 6, 4), (100, 100, 100, 3), np.uint8),
        "rgb16": np.full((4, 6, 3), 100 * 257, np.uint16),
    }[kind]
    cv2.imwrite(str(tmp_path / "a.png"), image)
    (frame,) = read_frames(tmp_path / "a.png", [0])
    assert frame.dtype == np.uint8 and frame.shape == (4, 6, 3)
    assert np.all(frame == 100)


def test_names_that_are_no_utf8_and_names_like_addresses_are_files(tmp_path, make_video):
    make_video(tmp_path / "a.mp4")
    for name in (b"caf\xe9.mp4", b"concat:x|y.mp4"):
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
        os.link(tmp_path / "a.mp4", path)
        assert probe(path).n_frames == 20


# --- what is wrong


def test_indices_must_ascend_and_exist(tmp_path, make_video):
    path = make_video(tmp_path / "a.mp4")
    for wrong in ([3, 3], [5, 2], [-1, 2]):
        with pytest.raises(ValueError, match="ascend"):
            read_frames(path, wrong)
    with pytest.raises(ShortVideoError, match="frame 20 .* only 20 frames can be") as caught:
        read_frames(path, [0, 20])
    assert caught.value.n_frames == 20


def empty(path):
    path.touch()


def text(path):
    path.write_text("hello, world\n" * 500)


def play_list(path):
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{path}\n#EXT-X-ENDLIST\n")


def folder(path):
    path.mkdir()


def pipe(path):
    os.mkfifo(path)


def link_loop(path):
    path.symlink_to(path)


def absent(path):
    pass


def audio_only(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 16000
        for packet in (*stream.encode(frame), *stream.encode()):
            container.mux(packet)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (empty, r"empty file \(0 bytes\)"),
        (text, "not a video, or damaged"),
        (play_list, "not a video, or damaged"),
        (folder, "is a folder"),
        (pipe, "not a regular file"),
        (link_loop, "cannot be opened: .*symbolic links"),
        (absent, "cannot be opened: No such file"),
        (audio_only, "has no video stream"),
    ],
)
def test_what_is_no_video_is_one_clear_line(tmp_path, spoil, message):
    path = tmp_path / "a.mp4"
    spoil(path)
    refused(path, message)


def refused(path, message):
    with pytest.raises(InputError, match=message) as caught:
        probe(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError):
        list(iterate_frames(path, [0, 19]))


def test_cut_off_videos(tmp_path, make_video):
    whole = make_video(tmp_path / "end.mp4", width=320, height=240).read_bytes()
    cut = tmp_path / "a.mp4"
    cut.write_bytes(whole[: len(whole) // 2])  # its table of frames was at the end
    refused(cut, "not a video, or damaged")
    fast = {"movflags": "+faststart"}
    whole = make_video(tmp_path / "b.mp4", width=320, height=240, options=fast).read_bytes()
    cut.write_bytes(whole[: len(whole) * 9 // 10])
    with pytest.raises(InputError, match=r"cut off: \d+ of the 20 frames|damaged"):
        probe(cut)


def test_an_unknown_codec(tmp_path, make_video):
    path = make_video(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    refused(path, "codec is unknown")


@pytest.mark.parametrize("seed", range(20))
def test_random_damage_is_an_input_error_or_nothing(tmp_path, make_video, seed):
    path = make_video(tmp_path / "a.mp4", n_frames=12)
    rng = np.random.default_rng(seed)
    data = bytearray(path.read_bytes())
    start = data.index(b"moov") if seed % 2 else 0
    for place in rng.integers(start, len(data), 12):
        data[place] = rng.integers(256)
    path.write_bytes(data)
    try:
        read_frames(path, range(probe(path).n_frames))
    except InputError as error:
        assert "\n" not in str(error)


def test_titles_in_other_encodings_do_no_harm(tmp_path, make_video):
    path = make_video(tmp_path / "a.mp4")
    data = path.read_bytes()
    assert b"Lavf" in data  # the encoder's name is in the metadata
    path.write_bytes(data.replace(b"Lavf", b"L\xe9\xffm"))
    assert probe(path).n_frames == 20


def test_unreadable_permissions(tmp_path, make_video, monkeypatch):
    path = make_video(tmp_path / "a.mp4")

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")  # root may read whatever the mode says

    monkeypatch.setattr(Path, "open", refuse)
    refused(path, "cannot be opened: Permission denied")


def test_damaged_images(tmp_path):
    path = tmp_path / "a.png"
    path.write_text("not a picture")
    refused(path, "not an image")
    for side in (9_000, 11_000, 60_000):  # Pillow accepts, warns about and refuses these
        path.write_bytes(png(side, side))
        refused(path, "more than the 67108864 pixels allowed")
    ok, data = cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (64, 64, 3)))
    path.write_bytes(data.tobytes()[:40])
    refused(path, "image")


def png(width, height):
    """Returns the start of a PNG whose header has this size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + crc + b"\0\0\1\0IDAT"


def test_absurd_video_sizes(tmp_path, make_video, monkeypatch):
    path = make_video(tmp_path / "a.mp4")
    monkeypatch.setattr(video, "MAX_PIXELS", 1000)
    refused(path, "64x48 is more than the 1000 pixels allowed")
