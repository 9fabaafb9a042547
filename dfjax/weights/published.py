"""Lists the published weights that `fetch` knows by name: where they are, and their licence."""

from typing import NamedTuple


class WebFile(NamedTuple):
    """A file at a fixed address, which is stored as it is.

    Attributes:
        url: Address, which names a commit.
        sha256: Hash of the file.
        licence: Licence of the weights.
    """

    url: str
    sha256: str
    licence: str


ZOO = "https://media.githubusercontent.com/media/opencv/opencv_zoo"
ZOO_COMMIT = "47534e27c9851bb1128ccc0102f1145e27f23f98"

PUBLISHED: dict[str, WebFile] = {
    "yunet": WebFile(
        f"{ZOO}/{ZOO_COMMIT}/models/face_detection_yunet/face_detection_yunet_2023mar.onnx",
        "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
        "MIT",
    ),
}
"""Weights by name: `yunet` is a face detector."""
