"""Tests that decoding returns the requested frames and that a damaged file gives one error line."""

import hashlib
import io
import os
import struct
import zlib
from pathlib import Path

import av
import cv2
import numpy as np
import PIL.Image
import pytest

from dfjax.data.faces import images, video
from dfjax.data.faces.media_files import is_media, is_video
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


def write_mpeg(path, codec, container, n_frames=8, file=None):
    """Writes gray frames of growing brightness, to `file` where it is given."""
    with av.open(file or str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for k in range(n_frames):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 10 + 5 * k, np.uint8))
            output.mux(stream.encode(frame.reformat(format="yuv420p")))
        output.mux(stream.encode())


@pytest.mark.parametrize(
    ("name", "codec", "container"),
    [
        ("a.ts", "mpeg2video", "mpegts"), ("a.wmv", "wmv2", "asf"), ("a.flv", "flv1", "flv"),
        ("a.mpg", "mpeg1video", "mpeg"), ("a.3gp", "libx264", "3gp"), ("a.m4v", "mpeg4", "m4v"),
        ("a.webm", "libvpx-vp9", "webm"),
    ],
)  # fmt: skip
def test_other_containers(tmp_path, name, codec, container):
    write_mpeg(tmp_path / name, codec, container)
    assert is_media(name) and is_video(name)
    info = probe(tmp_path / name)
    assert (info.n_frames, info.width, info.height, info.fps) == (8, 64, 48, 25.0)
    frames = read_frames(tmp_path / name, range(8))
    assert len(frames) == 8 and abs(float(frames[7].mean()) - 45) < 4


@pytest.mark.parametrize("suffix", ["gif", "webp", "avif"])
def test_animations_are_videos_and_single_images_have_one_frame(tmp_path, suffix):
    frames = [PIL.Image.new("RGB", (64, 48), (40 * k, 0, 0)) for k in range(5)]
    one, many = tmp_path / f"one.{suffix}", tmp_path / f"many.{suffix}"
    frames[3].save(one)
    frames[0].save(many, save_all=True, append_images=frames[1:], duration=100)
    assert is_media(one) and not is_video(one)
    info = probe(one)
    assert info[:7] == (1, 64, 48, None, None, suffix, None)
    assert abs(float(read_frames(one, [0])[0][..., 0].mean()) - 120) < 4
    info = probe(many)
    assert info[:6] == (5, 64, 48, pytest.approx(10), pytest.approx(0.5), suffix)
    for number, frame in zip((0, 2, 4), read_frames(many, [0, 2, 4])):
        assert frame.shape == (48, 64, 3) and frame.dtype == np.uint8
        assert abs(float(frame[..., 0].mean()) - 40 * number) < 4
    with pytest.raises(ShortVideoError) as caught:
        read_frames(many, [0, 5])
    assert caught.value.n_frames == 5


class Pipe(io.RawIOBase):
    """A file that cannot seek, as a program sees that writes to a pipe."""

    def __init__(self):
        self.data = bytearray()

    def writable(self):
        return True

    def seekable(self):
        return False

    def write(self, data):
        self.data += bytes(data)
        return len(data)


def test_an_avi_that_was_streamed_has_the_frames_that_are_there(tmp_path):
    pipe = Pipe()
    write_mpeg(None, "mpeg4", "avi", n_frames=40, file=pipe)
    path = tmp_path / "a.avi"
    path.write_bytes(pipe.data)
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 2**30  # what its header says
    info = probe(path)
    assert (info.n_frames, info.duration) == (40, 1.6)
    assert len(read_frames(path, range(40))) == 40


# --- what is wrong


def write_playlist(path, kind, target):
    text = {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile '{target}'\n",
        "bom": f"\ufeff \nffconcat version 1.0\nfile '{target}'\n",
        "dash": f'<?xml version="1.0"?><MPD type="static"><BaseURL>{target}</BaseURL></MPD>',
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    }[kind]
    path.write_text(text)


@pytest.mark.parametrize("kind", ["hls", "concat", "bom", "dash", "sdp"])
@pytest.mark.parametrize("suffix", [".mp4", ".ts", ".png"])
def test_lists_of_other_files_are_refused_unopened(tmp_path, make_video, monkeypatch, kind, suffix):
    target, pipe = make_video(tmp_path / "target.mp4"), tmp_path / "pipe.mp4"
    os.mkfifo(pipe)  # opening it would block
    monkeypatch.setattr(av, "open", lambda *given, **options: pytest.fail("it is opened"))
    for goal in (target, pipe, "http://127.0.0.1:9/a.mp4"):
        path = tmp_path / f"list{suffix}"
        write_playlist(path, kind, goal)
        refused(path, "is a list of other files" if suffix != ".png" else "not an image")


@pytest.mark.parametrize("container", ["concat", "hls", "dash", "sdp", "image2", "lavfi"])
def test_ffmpeg_itself_may_only_open_containers(tmp_path, make_video, monkeypatch, container):
    """Also a list that is not recognised as one reaches no other file."""
    monkeypatch.setattr(video, "PLAYLISTS", ())
    path = tmp_path / "a.mp4"
    if container in ("image2", "lavfi"):
        assert container not in video.OPTIONS["format_whitelist"].split(",")
        path.write_text("testsrc")
    else:
        write_playlist(path, container, make_video(tmp_path / "b.mp4"))
    refused(path, "not a video, or damaged")


def test_names_with_patterns_are_one_file(tmp_path, make_video):
    for name in ("frame_%03d.png", "frame_001.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((4, 6, 3), np.uint8))
    assert probe(tmp_path / "frame_%03d.png").n_frames == 1
    make_video(tmp_path / "v_001.mp4")
    refused(tmp_path / "v_%03d.mp4", "cannot be opened: No such file")


def test_a_damaged_video_is_called_damaged_whatever_ffmpeg_says(tmp_path, monkeypatch):
    path = tmp_path / "a.mkv"
    write_mpeg(path, "libx264", "matroska", n_frames=40)
    whole = path.read_bytes()
    for share in (0.05, 0.1, 0.2):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(InputError, match="damaged") as caught:
            probe(path)
        assert "Input/output" not in str(caught.value)

    def fail(*arguments, **options):
        raise av.error.PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(av, "open", fail)
    with pytest.raises(InputError, match="^not a video, or damaged$"):
        probe(path)


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
        (play_list, "is a list of other files"),
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


def test_a_null_character_in_a_name(tmp_path):
    refused(tmp_path / "a\0b.mp4", "cannot be opened: embedded null byte")


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
    monkeypatch.setattr(images, "MAX_PIXELS", 1000)
    refused(path, "64x48 is more than the 1000 pixels allowed")


def test_a_damaged_frame_of_an_animation_is_an_input_error(tmp_path):
    """Pillow raises a `RuntimeError` for AVIF."""
    rng = np.random.default_rng(0)
    first, *others = (
        PIL.Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)) for _ in range(4)
    )
    path = tmp_path / "a.avif"
    first.save(path, save_all=True, append_images=others)
    data = bytearray(path.read_bytes())
    place = int(0.9 * len(data))
    data[place : place + 60] = bytes(60)
    path.write_bytes(data)
    with pytest.raises(InputError, match="not an image, or damaged"):
        read_frames(path, range(4))
