"""Writes restored frames as a marked PNG or MP4 file, with the audio of the source.

The memory in use does not depend on the length of the video.
"""

import errno
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import PIL.Image
from PIL.PngImagePlugin import PngInfo

from dfjax.data.faces.images import Frame
from dfjax.data.faces.video import open_streams
from dfjax.errors import InputError, is_full_disk
from dfjax.outputs import SOFTWARE

TICKS = 90_000  # per second: the resolution of the times of frames
QUALITY = "17"  # constant rate factor of x264; 18 is commonly called visually lossless
COPIED = ("aac", "mp3", "mp3float", "ac3", "eac3", "alac", "opus", "flac")
"""Audio codecs that MP4 files can hold; audio of other codecs is converted to AAC."""

TimedFrames = Iterable[tuple[Frame, Fraction]]


def write_png(path: Path, frame: Frame, comment: str) -> None:
    """Writes a PNG file with a comment in its metadata.

    Args:
        path: File to write.
        frame: RGB picture.
        comment: Text of the comment.
    """
    texts = PngInfo()
    for name, text in {**SOFTWARE, "Comment": comment}.items():
        texts.add_text(name, text)
    PIL.Image.fromarray(frame).save(path, format="PNG", pnginfo=texts)


def write_mp4(
    path: Path, frames: TimedFrames, comment: str, *, fps: float, audio: Path | None = None
) -> int:
    """Writes an H.264 video with a comment in its metadata; returns the number of frames.

    Pictures with an odd side are encoded without reducing the resolution of colours, because only
    then can their size be kept.

    Args:
        path: File to write.
        frames: RGB frames with their times in seconds. A frame whose time does not exceed that of
            the one before is moved behind it.
        comment: Text of the comment.
        fps: Nominal number of frames per second.
        audio: File whose audio is copied; None for no audio.

    Raises:
        InputError: The frames cannot be encoded.
        OSError: The disk is full.
    """
    try:
        with av.open(str(path), "w", format="mp4") as output:
            output.metadata["comment"] = comment
            return _write(output, frames, fps, audio)
    except (av.FFmpegError, InputError) as error:
        if is_full_disk(error):
            raise OSError(errno.ENOSPC, "the disk is full", str(path)) from error
        if isinstance(error, InputError):
            raise
        raise InputError(f"its frames cannot be encoded: {error}") from error


def _write(
    output: av.container.OutputContainer, frames: TimedFrames, fps: float, audio: Path | None
) -> int:
    rate = Fraction(fps).limit_denominator(1001)
    video = output.add_stream("libx264", rate=rate, options={"crf": QUALITY})
    sounds: list[_Audio] = []
    count, ticks = 0, -1
    with open_streams(audio) as source:
        if source is not None:
            sounds = [_Audio(stream, output) for stream in source.streams.audio]
        packets = _convert(source, sounds)
        waiting = next(packets, None)
        for count, (frame, seconds) in enumerate(frames, 1):
            if count == 1:
                video.height, video.width = frame.shape[:2]
                odd = video.height % 2 or video.width % 2
                video.pix_fmt = "yuv444p" if odd else "yuv420p"
                video.codec_context.time_base = Fraction(1, TICKS)
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            ticks = max(ticks + 1, round(seconds * TICKS))
            picture.pts, picture.time_base = ticks, Fraction(1, TICKS)
            output.mux(video.encode(picture))
            while waiting is not None and waiting[0] <= seconds:
                output.mux(waiting[1])
                waiting = next(packets, None)
        output.mux(video.encode())
        while waiting is not None:
            output.mux(waiting[1])
            waiting = next(packets, None)
    return count


class _Audio:
    """One audio stream of the source and its copy in the output."""

    def __init__(self, stream: av.AudioStream, output: av.container.OutputContainer) -> None:
        self.stream = stream
        self.copied = stream.codec_context.name in COPIED
        self.target: av.AudioStream = (
            output.add_stream_from_template(stream)
            if self.copied
            else output.add_stream("aac", rate=stream.codec_context.sample_rate)
        )

    def convert(self, packet: av.Packet) -> list[av.Packet]:
        """Returns the packets for the output that a packet of the source gives."""
        if not self.copied:
            return [
                made for frame in self.stream.decode(packet) for made in self.target.encode(frame)
            ]
        if packet.dts is None:  # the end of the stream
            return []
        packet.stream = self.target
        return [packet]

    def finish(self) -> list[av.Packet]:
        """Returns the last packets for the output."""
        return [] if self.copied else self.target.encode()


def _convert(
    source: av.container.InputContainer | None, sounds: list[_Audio]
) -> Iterator[tuple[Fraction, list[av.Packet]]]:
    """Yields the time of every packet of audio, and the packets for the output."""
    if source is None or not sounds:
        return
    by_stream = {sound.stream.index: sound for sound in sounds}
    seconds = Fraction(0)
    for packet in source.demux([sound.stream for sound in sounds]):
        sound = by_stream[packet.stream.index]
        if packet.pts is not None and packet.time_base is not None:
            seconds = packet.pts * packet.time_base
        yield seconds, sound.convert(packet)
    for sound in sounds:
        yield seconds, sound.finish()
