"""What restoring files did, as text and as an object for JSON."""

import dataclasses
from pathlib import Path
from typing import Any

from dfjax.inference.restoring.restore_file import Work
from dfjax.results import Result


@dataclasses.dataclass(frozen=True)
class RestoredFile:
    """The result of one input.

    Attributes:
        input: File that was given.
        output: File that was written, or None if there is none.
        status: `restored`, `complete` if an earlier call has restored it, or `error`.
        work: Numbers of frames and faces, and the time it took; None for an error.
        error: Reason why it could not be restored; None if it was.
        before: P(fake) of the input by the detector; None without one, or if it gives no score.
        after: P(fake) of the output.
    """

    input: Path
    output: Path | None
    status: str
    work: Work | None = None
    error: str | None = None
    before: float | None = None
    after: float | None = None

    def to_line(self) -> str:
        """Returns the result as one line."""
        if self.work is None:
            return f"{self.input}: {self.error}"
        work, scores = self.work, ""
        if self.before is not None and self.after is not None:
            scores = f"P(fake) {self.before:.4f} -> {self.after:.4f}  "
        return (
            f"{scores}{self.output}  ({work.restored} of {work.frames} frames restored, "
            f"{work.frames / max(work.seconds, 1e-9):.1f} frames/s"
            f"{', complete' if self.status == 'complete' else ''})"
        )


@dataclasses.dataclass(frozen=True)
class RestoredFiles(Result):
    """The results of all inputs, in their order.

    Attributes:
        files: Result of each input.
        out: Folder of the results.
        notes: Sentences on how faces were cropped.
    """

    files: list[RestoredFile]
    out: Path
    notes: list[str]

    @property
    def frames_per_s(self) -> float | None:
        """Frames per second over the files that this call restored; None if there are none."""
        works = [file.work for file in self.files if file.work and file.status == "restored"]
        seconds = sum(work.seconds for work in works)
        return sum(work.frames for work in works) / seconds if seconds else None

    def describe(self) -> list[str]:
        """Returns a line per restored file, and one that counts them."""
        done = [file for file in self.files if file.work]
        speed = self.frames_per_s
        total = f"{len(done)} of {len(self.files)} files restored in {self.out}"
        return [
            *(file.to_line() for file in done),
            total + (f", {speed:.1f} frames/s" if speed else ""),
        ]

    def list_errors(self) -> list[str]:
        """Returns a line for each file that could not be restored."""
        return [file.to_line() for file in self.files if file.error]

    def to_json(self) -> dict[str, Any]:
        """Returns the results as `dfjax defake --json` prints them."""
        results = []
        for file in self.files:
            fields = dataclasses.asdict(file)
            fields |= {"input": str(file.input), "output": file.output and str(file.output)}
            results.append(fields)
        return {"results": results, "out": str(self.out), "frames_per_s": self.frames_per_s}
