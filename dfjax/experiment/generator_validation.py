"""Validation of a generator after each epoch: L1, PSNR and SSIM of restored clips, and a sheet."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array
from ml_collections import ConfigDict

from dfjax import FAKE, REAL
from dfjax.data.clips.pairs import find_targets
from dfjax.data.store.frame_store import FrameStore
from dfjax.evaluation.figures.preview_sheet import (
    PreviewRow,
    PreviewSection,
    PreviewTile,
    draw_preview,
)
from dfjax.evaluation.scoring.scorer import Scorer
from dfjax.experiment.run_data import eval_batches
from dfjax.losses.restoration import absolute_difference, frame_mean
from dfjax.models import ModelFns
from dfjax.ops.image_quality import compute_psnr, compute_ssim
from dfjax.shapes import Batch, HostBatch, Preprocess, Variables
from dfjax.training.metric_writer import read_history
from dfjax.training.state import Validate

SAMPLES = "samples"
"""Folder of the sheets in a workdir."""

SHOWN = 6  # clips on a sheet
KEYS = ("clip", "source", "mask")
AMPLIFIED = 4  # factor of the differences on a sheet


def make_generator_validate(
    config: ConfigDict,
    workdir: Path,
    pack: FrameStore,
    rows: Mapping[str, np.ndarray],
    model: ModelFns,
    preprocess: Preprocess,
    mesh: Mesh,
) -> Validate:
    """Returns the function `validate(variables, check) -> metrics`.

    The metrics are means over the clips of fakes of the validation split: `l1` (values in [-1, 1],
    also called `loss`), `psnr` in dB, `ssim`, and `psnr_gain`, the PSNR of the restored clip less
    that of the fake. Each call draws a sheet of some clips, `samples/epochNNN.png`.

    Args:
        config: Config of the run.
        workdir: Workdir of the run.
        pack: Data of the run.
        rows: Positions of the videos in the index, by split.
        model: Generator.
        preprocess: Function that turns a batch into `source`, `target` and `mask`.
        mesh: Device mesh.

    Raises:
        UsageError: The validation split has no pair.
    """
    targets, sources = find_targets(pack.index, rows["val"]).T
    fakes = targets != sources
    placing = Scorer(mesh=mesh, keys=KEYS)
    step = jax.jit(
        make_measure(model, preprocess), out_shardings=NamedSharding(mesh, PartitionSpec())
    )

    def validate(variables: Variables, check: Callable[[], None]) -> dict[str, float]:
        variables = placing.put_variables(variables)
        columns: dict[str, list[np.ndarray]] = {}
        shown: list[np.ndarray] = []
        for batch in _checked(check):
            found = jax.device_get(step(variables, placing.put_batch(batch)))
            real = batch["weight"] > 0
            if not shown:
                shown = [*found.pop("frames")[: len(real)][real][:SHOWN]]
            for name, values in found.items():
                if name != "frames":
                    columns.setdefault(name, []).append(values[: len(real)][real])
        means = {name: float(np.concatenate(values).mean()) for name, values in columns.items()}
        gain = means["psnr"] - means.pop("psnr_source")
        if jax.process_index() == 0:
            _draw(workdir, shown, f"PSNR {means['psnr']:.2f} dB, {gain:+.2f} dB to the fakes")
        return {"loss": means["l1"], **means, "psnr_gain": gain}

    def _checked(check: Callable[[], None]) -> Iterator[HostBatch]:
        for batch in eval_batches(pack, config, targets[fakes], sources=sources[fakes]):
            check()
            yield batch

    return validate


def make_measure(
    model: ModelFns, preprocess: Preprocess
) -> Callable[[Variables, Batch], dict[str, Array]]:
    """Returns the pure function `measure(variables, batch) -> values` of each clip.

    The values are `l1 psnr psnr_source ssim` f32[B] and `frames u8[B,3,H,W,3]`, the middle frame of
    the source, the restored clip and the target.

    Args:
        model: Generator.
        preprocess: Function that turns a batch into `source`, `target` and `mask`.
    """

    def measure(variables: Variables, batch: Batch) -> dict[str, Array]:
        inputs = preprocess(batch, None, train=False)
        source, target, mask = (inputs[key] for key in ("source", "target", "mask"))
        seen = {"rgb": source, "mask": mask}
        restored: Any = model.apply(variables, seen, train=False, rngs=None)[0]
        pixels = {"source": source, "restored": restored, "target": target}
        unit = {name: jnp.clip((clip + 1) / 2, 0, 1) for name, clip in pixels.items()}
        middle = [clip[:, clip.shape[1] // 2] for clip in unit.values()]
        return {
            "l1": absolute_difference(restored, target, mask),
            "psnr": frame_mean(compute_psnr(unit["restored"], unit["target"]), mask),
            "psnr_source": frame_mean(compute_psnr(unit["source"], unit["target"]), mask),
            "ssim": frame_mean(compute_ssim(unit["restored"], unit["target"]), mask),
            "frames": jnp.round(255 * jnp.stack(middle, 1)).astype(jnp.uint8),
        }

    return measure


def _draw(workdir: Path, shown: list[np.ndarray], subtitle: str) -> None:
    """Writes the sheet of an epoch: source, restored, target and differences to the target."""
    epoch = len(read_history(workdir / "history.csv")) + 1
    rows = []
    for number, (source, restored, target) in enumerate(shown, 1):
        tiles = [
            PreviewTile(source, "input", float(FAKE)),
            PreviewTile(restored, "restored"),
            PreviewTile(target, "target", float(REAL)),
            PreviewTile(_difference(restored, target), f"difference x {AMPLIFIED}"),
        ]
        rows.append(PreviewRow(f"clip {number}", f"{_psnr(restored, target):.1f} dB", tiles))
    folder = workdir / SAMPLES
    folder.mkdir(exist_ok=True)
    sections = [PreviewSection("validation clips, middle frame", rows)]
    path = folder / f"epoch{epoch:03d}.png"
    draw_preview(sections, path, title=f"Restored clips, epoch {epoch}", subtitle=subtitle)


def _difference(image: np.ndarray, reference: np.ndarray) -> np.ndarray:
    amount = AMPLIFIED * np.abs(image.astype(np.int32) - reference)
    return np.minimum(amount, 255).astype(np.uint8)


def _psnr(image: np.ndarray, reference: np.ndarray) -> float:
    error = np.square(image.astype(np.float64) - reference).mean() / 255**2
    return float(-10 * np.log10(max(error, 1e-10)))
