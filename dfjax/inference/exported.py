"""The result of an export."""

from dataclasses import dataclass
from pathlib import Path

from dfjax.results import Result
from dfjax.weights.rounding import FLOAT32


@dataclass(frozen=True)
class Exported(Result):
    """The result of `export`.

    Attributes:
        out: Path of the file, or of the folder of the hub or of a model of Triton.
        format: Name of the format.
        bytes: Size of the file, or of the files in the folder.
        checkpoint: Name of the checkpoint, for example `best/1200`.
        inputs: Shapes of the inputs for one clip, by name; empty for parameters alone.
        checked: Number of clips that the file was compared with the checkpoint on.
        runtime: Program that computed the output of the file.
        difference: Largest difference of the outputs; those of a detector are probabilities, those
            of a generator pixels. With rounded kernels it is that from the checkpoint rounded so.
        card: Path of the model card, or None.
        kernels: How kernels are stored.
        rounding: Largest difference that rounding the kernels makes to the outputs.
        registered: Address of the version of a model in MLflow, `models:/NAME/N`, or None.
    """

    out: Path
    format: str
    bytes: int
    checkpoint: str
    inputs: dict[str, list[int]]
    checked: int
    runtime: str
    difference: float
    card: Path | None = None
    kernels: str = FLOAT32
    rounding: float = 0.0
    registered: str | None = None

    def describe(self) -> list[str]:
        """Returns lines with the file, its size, the checkpoint and how far its output differs."""
        inputs = "".join(f", {name} [B, {_join(shape)}]" for name, shape in self.inputs.items())
        return [
            f"{self.out}: {self.bytes / 1e6:.1f} MB, checkpoint {self.checkpoint}{inputs}",
            f"read back with {self.runtime}: {self.checked} clips differ by {self.difference:.1e} "
            "at most",
            *([self._describe_rounding()] if self.kernels != FLOAT32 else []),
            *([f"model card: {self.card}"] if self.card else []),
            *([f"registered in MLflow: {self.registered}"] if self.registered else []),
        ]

    def _describe_rounding(self) -> str:
        return (
            f"kernels are {self.kernels}: outputs for the clips differ from those of the float32 "
            f"checkpoint by {self.rounding:.1e} at most"
        )


def _join(shape: list[int]) -> str:
    return ", ".join(map(str, shape))
