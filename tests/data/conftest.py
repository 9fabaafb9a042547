"""Small video files whose frames tell their number."""

import av
import numpy as np
import pytest


def write_video(path, n_frames=20, width=64, height=48, codec="libx264", options=None):
    """Writes a video whose frame k is gray 10 + 10 k; its top left quarter is brighter by 40."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for k in range(n_frames):
            image = np.full((height, width, 3), 10 + 10 * k, np.uint8)
            image[: height // 2, : width // 2] += 40
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


@pytest.fixture
def make_video():
    return write_video
