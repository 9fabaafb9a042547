"""A folder of more than 200 files made to break readers, and a few good ones among them."""

import os
import random
import struct
import wave
import zlib
from pathlib import Path

import av
import cv2
import numpy as np

GOOD = ("good.mp4", "good.mkv", "good.avi", "good.png", "good.jpg", "good_rgba.png", "good_16.png")
HEADERS = {  # of other kinds of file, under a name that promises a video or picture
    "zip": b"PK\3\4", "pdf": b"%PDF-1.7\n", "elf": b"\x7fELF\2\1\1", "gif": b"GIF89a\1\0\1\0",
    "html": b"<!doctype html><video src=x>", "hls": b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n",
    "concat": b"ffconcat version 1.0\nfile /etc/passwd\n", "svg": b"<svg width='9' height='9'/>",
    "null": b"\0" * 64, "ones": b"\xff" * 64, "text": b"not a video\n", "script": b"#!/bin/sh\n",
    "riff": b"RIFF\xff\xff\xff\xffAVI LIST", "jpeg": b"\xff\xd8\xff\xe0", "png": b"\x89PNG\r\n",
    "mp4": b"\0\0\0\x18ftypisom", "ebml": b"\x1a\x45\xdf\xa3", "flv": b"FLV\1\5\0\0\0\x09",
}  # fmt: skip


def write_corpus(folder: Path) -> None:
    """Writes the corpus, the same bytes every time; `GOOD` names the files that are whole."""
    folder.mkdir(parents=True)
    _write_good(folder)
    originals = {name: (folder / name).read_bytes() for name in GOOD[:5]}
    rng = random.Random(0)
    for name, data in originals.items():
        stem, suffix = name.removeprefix("good").replace(".", ""), Path(name).suffix
        for k in range(14):
            (folder / f"flip_{stem}_{k}{suffix}").write_bytes(_flip_bits(data, 2**k % 997 + 1, rng))
        for k in range(10):
            cut = data[: int(len(data) * (k + 0.5) / 10)]
            (folder / f"cut_{stem}_{k}{suffix}").write_bytes(cut)
        for k in (4, 16, 64, 512):
            (folder / f"head_{stem}_{k}{suffix}").write_bytes(rng.randbytes(k) + data[k:])
            (folder / f"tail_{stem}_{k}{suffix}").write_bytes(data[:-k] + b"\0" * k)
        (folder / f"twice_{stem}{suffix}").write_bytes(data + data)
    for kind, header in HEADERS.items():
        for suffix in (".mp4", ".png"):
            (folder / f"is_{kind}{suffix}").write_bytes(header + rng.randbytes(300))
    (folder / "png_inside.mp4").write_bytes(originals["good.png"])
    (folder / "mp4_inside.jpg").write_bytes(originals["good.mp4"])
    _write_absurd_sizes(folder, originals)
    _write_without_frames(folder)
    _write_unusual_but_whole(folder, originals)
    _write_traps_of_the_file_system(folder, originals)


def write_video(path, n_frames=8, codec="libx264", times=None, options=None, audio=False):
    """Writes 64x48 frames of growing brightness; `times` are their presentation times in 1/100 s.

    With `audio`, the file has sound and no picture.
    """
    with av.open(str(path), "w") as container:
        if audio:
            stream = container.add_stream("aac", rate=44100)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 2048), np.float32), "fltp", "mono")
            frame.rate = 44100
            frames = [frame]
        else:
            stream = container.add_stream(codec, rate=100 if times else 25, options=options or {})
            stream.width, stream.height = 64, 48
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            frames = [_video_frame(k, times) for k in range(n_frames)]
        container.start_encoding()  # or a file without frames would not be written at all
        for frame in frames:
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _video_frame(k, times):
    image = np.random.default_rng(k).integers(0, 60, (48, 64, 3), dtype=np.uint8) + np.uint8(20 * k)
    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
    if times:
        frame.pts = times[k]
    return frame


def _write_good(folder):
    write_video(folder / "good.mp4")
    write_video(folder / "good.mkv")
    write_video(folder / "good.avi", codec="mjpeg")
    image = np.random.default_rng(7).integers(0, 256, (48, 64, 4), dtype=np.uint8)
    cv2.imwrite(str(folder / "good.png"), image[..., :3])
    cv2.imwrite(str(folder / "good.jpg"), image[..., :3])
    cv2.imwrite(str(folder / "good_rgba.png"), image)
    cv2.imwrite(str(folder / "good_16.png"), image[..., :3].astype(np.uint16) * 257)


def _flip_bits(data, count, rng):
    damaged = bytearray(data)
    for _ in range(count):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def _png_of_size(width, height):
    """A PNG whose header is valid and whose pixels are not there."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 64)), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _write_absurd_sizes(folder, originals):
    long = 2**31 - 1
    for k, size in enumerate([(10**5, 10**5), (long, 1), (0, 0), (1, long), (2**32 - 1, 9)]):
        (folder / f"huge_{k}.png").write_bytes(_png_of_size(*size))
    jpeg, at = originals["good.jpg"], originals["good.jpg"].index(b"\xff\xc0") + 5
    for k, size in enumerate([(65_500, 65_500), (0, 0), (1, 65_535)]):
        (folder / f"huge_{k}.jpg").write_bytes(
            jpeg[:at] + struct.pack(">HH", *size) + jpeg[at + 4 :]
        )
    mp4, old = originals["good.mp4"], struct.pack(">HH", 64, 48)
    for k, size in enumerate([(65_535, 65_535), (0, 0), (1, 65_535)]):
        (folder / f"huge_{k}.mp4").write_bytes(mp4.replace(old, struct.pack(">HH", *size)))
    avi, old = originals["good.avi"], struct.pack("<II", 64, 48)
    for k, size in enumerate([(2**31 - 1, 2**31 - 1), (0, 0), (100_000, 100_000)]):
        (folder / f"huge_{k}.avi").write_bytes(avi.replace(old, struct.pack("<II", *size)))


def _write_without_frames(folder):
    for suffix in (".mp4", ".mkv", ".avi"):
        write_video(folder / f"no_frames{suffix}", n_frames=0, codec="mpeg4")
        (folder / f"empty{suffix}").touch()
    for suffix in (".mp4", ".mkv"):
        write_video(folder / f"only_sound{suffix}", audio=True)
    with wave.open(str(folder / "is_a_wave.avi"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"\0" * 800)


def _write_unusual_but_whole(folder, originals):
    """Files that a reader should manage; whether it does is not what the corpus is for."""
    cv2.imwrite(str(folder / "one_pixel.png"), np.zeros((1, 1, 3), np.uint8))
    cv2.imwrite(str(folder / "one_column.png"), np.zeros((300, 1), np.uint8))
    write_video(folder / "one_frame.mp4", n_frames=1)
    write_video(folder / "variable_rate.mp4", times=[0, 1, 5, 6, 30, 31, 95, 300])
    write_video(folder / "late_start.mkv", times=[90_000 + 4 * k for k in range(8)])
    write_video(folder / "b_frames.mp4", options={"bf": "3", "g": "4"})
    matrix = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    quarter = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
    mp4 = originals["good.mp4"]
    at = mp4.index(matrix, mp4.index(b"tkhd"))
    (folder / "rotated.mp4").write_bytes(mp4[:at] + quarter + mp4[at + len(matrix) :])


def _write_traps_of_the_file_system(folder, originals):
    (folder / "me.mp4").symlink_to("me.mp4")
    (folder / "ping.mp4").symlink_to("pong.mp4")
    (folder / "pong.mp4").symlink_to("ping.mp4")
    (folder / "gone.mp4").symlink_to("nowhere.mp4")
    (folder / "endless.mp4").symlink_to("/dev/zero")
    (folder / "deep").mkdir()
    (folder / "deep" / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "deep" / "a_folder.mp4").mkdir()
    os.mkfifo(folder / "pipe.mp4")
    locked = folder / "locked.png"
    locked.write_bytes(originals["good.png"])
    locked.chmod(0)
    for name, data in ((b"latin_\xe9.png", originals["good.png"]), (b"latin_\xe9.mp4", b"no")):
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(data)
