"""The summary of the optical flow of a data set."""

import dataclasses
from pathlib import Path

from dfjax.results import Result


@dataclasses.dataclass(frozen=True)
class FlowReport(Result):
    """Summary of the flow that was made.

    Attributes:
        index: Index file of the videos with flow.
        videos: Number of videos with flow.
        flows: Number of flow files.
        stride: Number of source frames from the first to the second frame of each flow.
        left_out: Number of videos without flow.
        errors: File that lists these.
    """

    index: Path
    videos: int
    flows: int
    stride: int
    left_out: int
    errors: Path

    in_json = ("index", "videos", "flows", "left_out")

    def describe(self) -> list[str]:
        """Returns a line that counts videos and flows."""
        counts = f"{self.videos} videos, {self.flows} flows over {self.stride} source frames"
        return [f"{self.index.parent}: {counts}"]

    def list_errors(self) -> list[str]:
        """Returns a line that counts the videos that were left out."""
        n = self.left_out
        return [f"{n} videos have no flow and were left out: {self.errors}"] if n else []
