"""Computes optical flow between two face crops, and encodes it compactly.

A flow is f32[H, W, 2]: the pixel at (x, y) of the first crop is found at (x + u, y + v) of the
second. It is stored as one 16-bit PNG, u above v, in steps of 1/16 pixel. The error is at most 1/32
pixel, and 0 for whole pixels. Batches hold flow as float16, in which these steps are exact below
128 pixels.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from jaxtyping import Bool, Float16, Float32, UInt8

from dfjax.data.faces.crop_codec import decode_image
from dfjax.errors import InputError

STEPS = 16  # quantisation steps per pixel
MAX_ERROR = 0.5 / STEPS  # pixels
MAX_FLOW = (2**15 - 1) / STEPS  # pixels, about 2048, more than the side of any crop

Flow = Float32[np.ndarray, "H W 2"]
Crop = UInt8[np.ndarray, "H W 3"]


def compute_flow(first: Crop, second: Crop) -> Flow:
    """Returns the flow from one RGB crop to another by dense inverse search (Kroeger et al. 2016).

    Crops smaller than 32 pixels, the minimum of the method, are enlarged first.

    Args:
        first: Crop that the flow starts from.
        second: Crop of the same size that the flow leads to.
    """
    height, width = first.shape[:2]
    scale = -(-32 // min(height, width))  # an integer factor keeps the pixel grid
    gray = [cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) for crop in (first, second)]
    if scale > 1:
        large = (width * scale, height * scale)
        gray = [cv2.resize(picture, large, interpolation=cv2.INTER_LINEAR) for picture in gray]
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = method.calc(gray[0], gray[1], np.zeros((*gray[0].shape, 2), np.float32))
    if scale > 1:
        flow = cv2.resize(flow, (width, height), interpolation=cv2.INTER_AREA) / scale
    return flow.astype(np.float32)


def compute_clip_flow(
    clips: UInt8[np.ndarray, "N T H W 3"], mask: Bool[np.ndarray, "N T"]
) -> Float16[np.ndarray, "N t H W 2"]:
    """Returns the flow from each frame to the next, t = T - 1, rounded as in a pack.

    Args:
        clips: Clips of RGB crops.
        mask: Which frames are valid. Flow from or to other frames is zero.
    """
    n, t, height, width, _ = clips.shape
    flow = np.zeros((n, t - 1, height, width, 2), np.float16)

    def fill(place: tuple[int, int]) -> None:
        clip, frame = place
        found = compute_flow(clips[clip, frame], clips[clip, frame + 1])
        flow[place] = np.round(found * STEPS) / STEPS

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(fill, map(tuple, np.argwhere(mask[:, :-1] & mask[:, 1:]).tolist())))
    return flow


def encode_flow(flow: Flow) -> bytes:
    """Returns the flow encoded as PNG.

    Raises:
        InputError: A value is not finite, or its magnitude exceeds `MAX_FLOW`.
    """
    if not np.isfinite(flow).all() or np.abs(flow).max(initial=0.0) > MAX_FLOW:
        raise InputError(f"its flow has unknown pixels or exceeds {MAX_FLOW:.0f} pixels")
    steps = np.round(flow * STEPS).astype(np.int32) + 2**15
    picture = np.concatenate([steps[..., 0], steps[..., 1]]).astype(np.uint16)
    return cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 6])[1].tobytes()


def decode_flow(data: bytes) -> Flow:
    """Returns the flow in a PNG written by `encode_flow`.

    Raises:
        InputError: The data are damaged or are another kind of picture.
    """
    picture = decode_image(data, cv2.IMREAD_UNCHANGED)
    if picture is None or picture.dtype != np.uint16 or picture.ndim != 2 or len(picture) % 2:
        raise InputError("not a flow, or damaged")
    u, v = np.split(picture.astype(np.float32), 2)
    return (np.stack([u, v], axis=-1) - 2**15) / np.float32(STEPS)
