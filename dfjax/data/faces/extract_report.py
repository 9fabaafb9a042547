"""The summary of an extraction of face crops."""

import dataclasses
from pathlib import Path

from dfjax.data.faces.detectors.availability import recommend_detector
from dfjax.results import Result


@dataclasses.dataclass(frozen=True)
class ExtractReport(Result):
    """Summary of an extraction.

    Attributes:
        index: Index file.
        detector: Name of the face detector.
        videos: Number of rows, one per video (or per face with `faces="all"`).
        reused: Number of videos that an earlier call had extracted.
        crops: Number of face crops.
        faces_found: Number of crops with a face that was detected in that frame.
        videos_without_face: Videos without a detected face, whose crops are centres of frames.
        unreadable: Number of videos that were left out.
        errors: File that lists these.
        notes: Sentences for the user.
        unreadable_masks: Number of videos whose manipulation mask could not be read.
    """

    index: Path
    detector: str
    videos: int
    reused: int
    crops: int
    faces_found: int
    videos_without_face: list[str]
    unreadable: int
    errors: Path
    notes: list[str]
    unreadable_masks: int = 0

    in_json = (
        *("index", "videos", "reused", "crops", "faces_found", "videos_without_face"),
        *("unreadable", "unreadable_masks"),
    )

    @property
    def has_findings(self) -> bool:
        """Whether videos or masks were left out."""
        return self.unreadable + self.unreadable_masks > 0

    def describe(self) -> list[str]:
        """Returns lines that count videos, crops and the faces that were found."""
        again = f", {self.reused} of them already there" if self.reused else ""
        lines = [f"{self.index.parent}: {self.videos} videos{again}, {self.crops} crops"]
        lines += self.describe_faces()
        if self.unreadable:
            lines.append(
                f"{self.unreadable} videos or images could not be read and were left out: "
                f"{self.errors}"
            )
        if self.unreadable_masks:
            lines.append(f"{self.unreadable_masks} masks could not be read: {self.errors}")
        return lines

    def describe_faces(self) -> list[str]:
        """Returns lines that say in how many frames and videos a face was found."""
        if self.detector == "none":
            return ["no face was looked for: crops are the squares in the middle of the frames"]
        found = f"a face in {self.faces_found} of {self.crops} frames"
        lines = [found + ("; the others are interpolated" if self.faces_found else "")]
        better = recommend_detector(self.detector, 1 - self.faces_found / self.crops)
        lines += [better] if better else []
        if missed := self.videos_without_face:
            lines.append(
                f"no face in {len(missed)} videos or images (centre crops): "
                f"{', '.join(missed[:10])}"
            )
            lines.append("the detector `none` is meant for videos and images that are face crops")
        return lines
