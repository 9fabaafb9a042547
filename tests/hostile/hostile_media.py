"""Media files of the corpus: damaged bytes and structures, other files under their names, traps."""

import contextlib
import functools
import os
import socket
import struct
import zlib
from pathlib import Path

import av
import cv2
import numpy as np
import PIL.Image
from hostile_cases import make_cases
from hostile_mutations import BYTES

SIZE = (64, 48)
GOOD = (
    *("a.mp4", "a.mov", "a.mkv", "a.webm", "a.avi", "a.mpg", "a.ts", "a.wmv", "a.flv"),
    *("a.png", "a.jpg", "a.gif", "a.webp"),
)
CODECS = {
    ".mp4": "libx264", ".mov": "mpeg4", ".mkv": "libx264", ".webm": "libvpx", ".avi": "mjpeg",
    ".mpg": "mpeg2video", ".ts": "libx264", ".wmv": "wmv2", ".flv": "flv",
}  # fmt: skip

HEADERS = {
    "zip": b"PK\3\4", "pdf": b"%PDF-1.7\n", "elf": b"\x7fELF\2\1\1", "gif": b"GIF89a\1\0\1\0",
    "html": b"<!doctype html><video src=x>", "svg": b"<svg width='9' height='9'/>",
    "riff": b"RIFF\xff\xff\xff\xffAVI LIST", "jpeg": b"\xff\xd8\xff\xe0", "png": b"\x89PNG\r\n",
    "mp4": b"\0\0\0\x18ftypisom", "ebml": b"\x1a\x45\xdf\xa3", "flv": b"FLV\1\5\0\0\0\x09",
    "ogg": b"OggS\0\2", "asf": b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
    "wav": b"RIFF\x24\0\0\0WAVEfmt ",
    "script": b"#!/bin/sh\n", "null": b"\0" * 64, "text": b"not a video\n",
}  # fmt: skip

NAMES = (
    "new\nline.png", "tab\t.png", "\x1b[31mred\x1b[0m.png", "bell\a.mp4", "back\b\b\b.png",
    "return\rok 0.0001  real.png", "0.9999  fake  b.mp4  (3 frames).png", "\u202egnp.exe.png",
    "\u2028line.png", "-out.png", "--json.mp4", "http:--127.0.0.1-x.mp4", "file:a.mp4",
    "concat:a.mp4|b.mp4", "pipe:0.mp4", "%03d.png", "img%d.jpg", "{braces}.png", "[red]rich[-].png",
    "$(touch x).png", "`touch x`.mp4", "a;b&c|d.png", "'quote'.png", '"double".png', " .png",
    "x.PNG", "two.dots.mp4", "none.jpeg", "nul\x7f.png", "é.png", "e\u0301.png", "漢" * 78 + ".png",
    "x" * 236 + ".png", "y" * 251 + ".png", "#1.png", "a#1.mp4", "C:\\a.png", "~.png", "*.png",
    "?.mp4", "CON.png", "a.mp4.png", "\u200b.png", "😀.mp4",
)  # fmt: skip

PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{uri}\n#EXT-X-ENDLIST\n",
    "hls_master": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{uri}\n",
    "concat": "ffconcat version 1.0\nfile '{uri}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'profiles="urn:mpeg:dash:profile:isoff-on-demand:2011" mediaPresentationDuration="PT1S">'
    '<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>'
    "{uri}</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "rtsp": "rtsptext\nrtsp://{address}/x\n",
    "asx": '<asx version="3.0"><entry><ref href="{uri}"/></entry></asx>',
    "smil": '<smil><body><video src="{uri}"/></body></smil>',
    "svg": '<svg xmlns:xlink="http://www.w3.org/1999/xlink"><image xlink:href="{uri}"/></svg>',
}

PLACES = (
    "pipe", "itself", "pair", "gone", "endless", "folder", "socket", "secret_link", "deep_loop",
    "locked", "empty", "latin_name",
)  # fmt: skip


def write_data_set(folder):
    """Writes the good videos of a data set: three real ones and three fakes of 8 frames."""
    for number in range(8):
        place = folder / ("real" if number % 2 else "fake/swap")
        place.mkdir(parents=True, exist_ok=True)
        write_video(place / f"{number}.mp4", brightness=20 * number, codec="libx264")


def write_video(path, *, brightness=0, codec, n_frames=8, size=SIZE, audio=False):
    """Writes a video of noise that grows brighter."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        container.start_encoding()
        for k in range(n_frames):
            rng = np.random.default_rng(1000 * brightness + k)
            image = rng.integers(0, 60, (size[1], size[0], 3), dtype=np.uint8)
            image += np.uint8(min(195, brightness + 5 * k))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


@functools.cache
def good(name, folder):
    """The bytes of a good file."""
    path = Path(folder) / name
    if path.suffix in CODECS:
        write_video(path, codec=CODECS[path.suffix])
    else:
        image = np.random.default_rng(7).integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
        PIL.Image.fromarray(image).save(path)
    return path.read_bytes()


def list_cases():
    """Every media case of the corpus."""
    return [
        *make_cases("media", BYTES, 8),
        *make_cases("boxes", ("size", "kind", "move", "deep", "value"), 5),
        *make_cases("header", HEADERS, 2),
        *make_cases("playlist", PLAYLISTS, 6),
        *make_cases("size", ("png", "jpg", "mp4", "avi", "bomb", "many"), 4),
        *make_cases("name", map(str, range(len(NAMES))), 1),
        *make_cases("place", PLACES, 1),
    ]


def write_case(case, folder, work, address):
    """Writes the file of a case to `folder` and returns its path.

    Args:
        case: The case.
        folder: Folder of the inputs.
        work: Folder for good files, and for what no input may lead to.
        address: HOST:PORT that nobody may connect to.
    """
    thing, operation = case.kind.split(".", 1)
    rng = case.rng()
    make = {
        "media": _damaged, "boxes": _restructured, "header": _other, "playlist": _playlist,
        "size": _absurd,
    }.get(thing)  # fmt: skip
    if make:
        suffix, data = make(operation, rng, work, address, case.number)
        path = folder / f"{thing}.{operation}-{case.number}{suffix}"
        path.write_bytes(data)
        return path
    if thing == "name":
        path = folder / NAMES[int(operation)]
        kind = "a.mp4" if path.suffix == ".mp4" else "a.png"
        path.write_bytes(good(kind, work))
        return path
    return _trap(operation, folder, work)


def _pick(rng, work):
    name = rng.choice(GOOD)
    return Path(name).suffix, good(name, work)


def _damaged(operation, rng, work, address, number):
    suffix, data = _pick(rng, work)
    return suffix, BYTES[operation](data, rng)


def _other(operation, rng, work, address, number):
    return (".mp4", ".png")[number % 2], HEADERS[operation] + rng.randbytes(300)


def _playlist(operation, rng, work, address, number):
    """Lists an address of the network, a good video elsewhere, or a pipe; under various names."""
    video, pipe = Path(work, "elsewhere.mp4"), Path(work, "pipe")
    if not video.exists():
        video.write_bytes(good("a.mp4", work))
        os.mkfifo(pipe)
    uris = (f"http://{address}/x.mp4", f"tcp://{address}", str(video), f"file:{video}", str(pipe),
            f"concat:{video}|{video}")  # fmt: skip
    text = PLAYLISTS[operation].format(uri=uris[number % len(uris)], address=address)
    return rng.choice((".mp4", ".mkv", ".avi", ".mov", ".webm", ".mpg")), text.encode()


def _restructured(operation, rng, work, address, number):
    """Changes the boxes of an MP4 or the chunks of a PNG, which stay well-formed otherwise."""
    if number % 3 == 2:
        return ".png", _change_chunks(good("a.png", work), operation, rng)
    name = rng.choice(("a.mp4", "a.mov"))
    data = bytearray(good(name, work))
    place, size = rng.choice(list(_boxes(bytes(data), 0, len(data))))
    if operation == "size":
        value = rng.choice((0, 1, 7, 8, 9, size - 1, size + 1, 2**31, 2**32 - 1))
        data[place : place + 4] = struct.pack(">I", value)
    elif operation == "kind":
        data[place + 4 : place + 8] = rng.choice(
            (b"moov", b"trak", b"free", b"mdat", b"cmov", b"\0" * 4)
        )
    elif operation == "move":
        box = data[place : place + size]
        del data[place : place + size]
        data += box
    elif operation == "deep":
        box = bytes(data[place : place + size])
        for _ in range(rng.choice((3, 300, 3000))):
            box = struct.pack(">I", len(box) + 8) + b"moov" + box
        data += box
    elif size > 12:
        at = place + rng.randrange(8, size - 3)
        value = rng.choice((0, 1, 2**31 - 1, 2**31, 2**32 - 1))
        data[at : at + 4] = struct.pack(">I", value)
    return Path(name).suffix, bytes(data)


def _boxes(data, start, stop):
    containers = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"udta", b"edts")
    while start + 8 <= stop:
        size = struct.unpack(">I", data[start : start + 4])[0]
        if not 8 <= size <= stop - start:
            return
        yield start, size
        if data[start + 4 : start + 8] in containers:
            yield from _boxes(data, start + 8, start + size)
        start += size


def _change_chunks(png, operation, rng):
    chunks, at = [], 8
    while at < len(png):
        size = struct.unpack(">I", png[at : at + 4])[0]
        chunks.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + size]))
        at += size + 12
    place = rng.randrange(len(chunks))
    kind, body = chunks[place]
    if operation == "size":
        chunks[place] = kind, body[: len(body) // 2]
    elif operation == "kind":
        chunks[place] = rng.choice((b"IHDR", b"PLTE", b"tRNS", b"acTL", b"fdAT", b"iCCP")), body
    elif operation == "move":
        chunks.append(chunks.pop(place))
    elif operation == "deep":
        chunks[1:1] = [(b"zTXt", b"k\0\0" + zlib.compress(b"\0" * 50_000_000))] * 2
    else:
        chunks[place] = kind, bytes(rng.choice((0, 255, b)) for b in body)
    return png_of(chunks)


def png_of(chunks):
    """A PNG of these chunks, with right sums."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def _absurd(operation, rng, work, address, number):
    """Promises sizes that are not there, or that no memory holds."""
    size = ((65_535, 65_535), (0, 0), (1, 65_535), (2**31 - 1, 2**31 - 1))[number]
    small = tuple(min(side, 65_535) for side in size)
    if operation == "png":
        header = struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
        return ".png", png_of(
            [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 64)), (b"IEND", b"")]
        )
    if operation == "bomb":  # all the pixels, in few bytes
        width, height = ((12_000, 12_000), (30_000, 3_000), (100, 900_000), (9_000, 9_000))[number]
        body = zlib.compress(b"\0" * (width + 1) * height, 1)
        header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
        return ".png", png_of([(b"IHDR", header), (b"IDAT", body), (b"IEND", b"")])
    if operation == "many":  # frames of other sizes in between
        data = good("a.avi", work)
        image = np.zeros((40 + 300 * number, 60 + 200 * number, 3), np.uint8)
        jpeg = cv2.imencode(".jpg", image)[1].tobytes()
        at = data.index(b"\xff\xd8", len(data) // 2)
        return ".avi", data[:at] + jpeg + data[at + len(jpeg) :]
    data = good(f"a.{operation}", work)
    if operation == "jpg":
        at = data.index(b"\xff\xc0") + 5
        return ".jpg", data[:at] + struct.pack(">HH", *small) + data[at + 4 :]
    form = ">HH" if operation == "mp4" else "<II"
    sides = small if operation == "mp4" else size
    return f".{operation}", data.replace(struct.pack(form, *SIZE), struct.pack(form, *sides))


def _trap(operation, folder, work):
    """What is no file, or leads elsewhere."""
    path = folder / f"place.{operation}.mp4"
    if operation == "pipe":
        os.mkfifo(path)
    elif operation == "itself":
        path.symlink_to(path.name)
    elif operation == "pair":
        path.symlink_to("place.pair2.mp4")
        (folder / "place.pair2.mp4").symlink_to(path.name)
    elif operation in ("gone", "endless"):
        path.symlink_to({"gone": "nowhere.mp4", "endless": "/dev/zero"}[operation])
    elif operation == "secret_link":
        path.symlink_to("/etc/passwd")
    elif operation == "folder":
        path.mkdir()
        path = path / "inside.png"
        path.write_bytes(good("a.png", work))
    elif operation == "deep_loop":
        (folder / "deep").mkdir()
        (folder / "deep" / "loop").symlink_to(folder, target_is_directory=True)
        path = folder / "deep" / "in_loop.png"
        path.write_bytes(good("a.png", work))
    elif operation == "socket":
        with contextlib.chdir(folder), socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    elif operation == "locked":
        path.write_bytes(good("a.mp4", work))
        path.chmod(0)
    elif operation == "empty":
        path.touch()
    elif operation == "latin_name":
        path = Path(os.fsdecode(os.fsencode(folder) + b"/latin_\xe9.png"))
        path.write_bytes(good("a.png", work))
    return path
