"""Computes scores of clips on all devices.

Validation, `evaluate`, `predict` and `Detector.predict` all use `Scorer`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float
from scipy.special import expit, logit

from dfjax import processes
from dfjax.evaluation.metrics.method_guesses import PREFIX
from dfjax.evaluation.metrics.uncertainty import summarise_draws
from dfjax.shapes import Apply, Batch, HostBatch, Loss, Preprocess, Variables

PredictStep = Callable[[Any, Mapping[str, Any]], dict[str, Array]]
"""Pure function `step(variables, batch)` that returns `logit` f32[B], or `logits` f32[V,D,B] for V
views of each clip and D draws of each view (`draws.make_draw_step`), and further columns f32[B]."""

Scores = dict[str, Float[np.ndarray, "N"]]
"""Columns of the clips of a batch: `logit fake_prob`, `uncertainty.MEASURES` with several draws,
and others."""

MEMBER_PROB = "member_prob:"
"""Beginning of the names of columns with the scores of one detector of several; they are numbered
from 1."""

# Entries that are copied to the device; the others (labels, row numbers) stay on the host.
DEVICE_KEYS = ("clip", "features", "mask", "position", "flow")
ROW_KEYS = ("video_index", "label", "weight", "position", "mask")
"""Entries of a batch by which its scores become rows of a table."""
ROWS = "rows"  # of the results of a step, where they are entries `ROW_KEYS` of the batch

LOSS_KEYS = (*DEVICE_KEYS, "label", "weight", "method", "region", "region_known")


def make_predict_step(
    apply: Apply, preprocess: Preprocess, *, loss: Loss | None = None, methods: Sequence[str] = ()
) -> PredictStep:
    """Returns `step(variables, batch) -> {"logit": f32[B]}`, the forward pass in test mode.

    Args:
        apply: Forward pass of the model.
        preprocess: Preprocessing of the model.
        loss: Loss of each clip, which the step then also returns as `loss` f32[B]; the batch then
            needs `LOSS_KEYS`.
        methods: Names of the classes of the method head; the step also returns the probability of
            each, `method_prob:NAME` f32[B].
    """

    def step(variables: Variables, batch: Batch) -> dict[str, Float[Array, "B"]]:
        inputs = preprocess(batch, None, train=False)  # evaluation uses no random numbers
        logits, outputs, _ = apply(variables, inputs, train=False, rngs=None)
        scores = {"logit": logits.astype(jnp.float32)}
        if methods:
            probs = jax.nn.softmax(outputs["method_logits"].astype(jnp.float32))
            scores |= {PREFIX + name: probs[:, place] for place, name in enumerate(methods)}
        if loss is None:
            return scores
        if "region" in inputs:
            batch = {**batch, "region": inputs["region"]}
        return scores | {"loss": loss(logits, outputs, batch)}

    return step


def make_local_mesh() -> Mesh:
    """Returns a mesh of all devices of this process with one axis, `data`."""
    devices = jax.local_devices()
    return jax.make_mesh((len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=devices)


def make_global_mesh() -> Mesh:
    """Returns a mesh of all devices of all processes with one axis, `data`."""
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))


class Scorer:
    """Scores batches of clips, which are divided over the devices; parameters are replicated.

    A batch that does not divide evenly is padded with copies of its last clip, whose scores are
    dropped. Parameters that are sharded, as in training, are gathered once per call.

    Args:
        steps: Prediction steps, one per detector; the scores of several are averaged
            (`read_scores`).
        mesh: Mesh whose axes all divide the batch; None for the devices of this process. On a mesh
            of several processes every process passes its clips of each batch (`local_places`), and
            gets the scores of all clips with the entries `ROW_KEYS` of the whole batch.
        keys: Entries of a batch that the steps read.
        separate: Whether the scores of each detector are returned too (`MEMBER_PROB`).
    """

    def __init__(
        self,
        *steps: PredictStep,
        mesh: Mesh | None = None,
        keys: Sequence[str] = DEVICE_KEYS,
        separate: bool = False,
    ) -> None:
        self.separate = separate
        self.mesh = mesh or make_local_mesh()
        self.keys = tuple(keys)
        self._copied = NamedSharding(self.mesh, PartitionSpec())
        self._divided = NamedSharding(self.mesh, PartitionSpec(self.mesh.axis_names))
        self.steps = steps
        if not self._divided.is_fully_addressable:
            self.keys = tuple(dict.fromkeys((*keys, *ROW_KEYS)))
            steps = tuple(map(_keep_rows, steps))
        self._steps = [jax.jit(step, out_shardings=self._copied) for step in steps]
        if not self._divided.is_fully_addressable:
            self._steps = [processes.compile_together(step) for step in self._steps]

    def __call__(
        self,
        variables: Sequence[Variables],
        batches: Iterable[HostBatch],
        *,
        batch_size: int = 0,
    ) -> Iterator[tuple[HostBatch, Scores]]:
        """Yields every batch with its scores; a batch is scored while the next one is read.

        Args:
            variables: Parameters and batch statistics of each detector.
            batches: Batches of clips on the host.
            batch_size: Number of clips that smaller batches are padded to, so that one compiled
                program scores all batches.
        """
        variables = [self.put_variables(each) for each in variables]
        pending: tuple[HostBatch, list[Any]] | None = None
        for batch in batches:
            on_device = self.put_batch(batch, batch_size)
            # Returns before the scores are computed.
            results = [step(v, on_device) for step, v in zip(self._steps, variables, strict=True)]
            if pending:
                yield _read(*pending, self.separate)
            pending = batch, results
        if pending:
            yield _read(*pending, self.separate)

    def local_places(self, batch_size: int) -> Sequence[int]:
        """Returns the numbers of the clips of a batch that this process passes.

        Args:
            batch_size: Number of clips per batch, which divides over the devices.
        """
        if self._divided.is_fully_addressable:
            return range(batch_size)
        return processes.local_places(self._divided, batch_size)

    def put_variables(self, variables: Variables) -> Variables:
        """Returns the variables with a copy of each array on every device."""
        if not self._divided.is_fully_addressable:  # arrays of this process go through its memory
            variables = jax.tree.map(
                lambda x: np.asarray(x) if x.is_fully_addressable else x, variables
            )
        return jax.device_put(variables, self._copied)

    def put_batch(self, batch: HostBatch, batch_size: int = 0) -> dict[str, Array]:
        """Returns the entries of a batch that the steps read, divided over the devices.

        Args:
            batch: Batch on the host.
            batch_size: Number of clips that a smaller batch is padded to.
        """
        clips, devices = len(batch["mask"]), len(self._divided.addressable_devices)
        missing = -(-max(clips, batch_size) // devices) * devices - clips
        return {key: self._put(key, batch[key], missing) for key in self.keys if key in batch}

    def _put(self, key: str, values: np.ndarray, missing: int) -> Array:
        if missing:
            copies = np.repeat(values[-1:], missing, axis=0)
            values = np.concatenate([values, np.zeros_like(copies) if key == "weight" else copies])
        return processes.make_global(values, self._divided)


def _keep_rows(step: PredictStep) -> PredictStep:
    """Returns a step that also returns the entries of the batch that tell its clips apart."""

    def keep(variables: Variables, batch: Batch) -> dict[str, Any]:
        return {**step(variables, batch), ROWS: {key: batch[key] for key in ROW_KEYS}}

    return keep


def _read(
    batch: HostBatch, results: Sequence[Mapping[str, Any]], separate: bool = False
) -> tuple[HostBatch, Scores]:
    """Returns a batch, that of all processes, and its scores without those of padding."""
    found = [jax.device_get(result) for result in results]
    for result in found:
        batch = result.pop(ROWS, batch)
    scores = read_scores(found, separate=separate)
    return batch, {name: values[: len(batch["mask"])] for name, values in scores.items()}


def read_scores(results: Sequence[Mapping[str, np.ndarray]], *, separate: bool = False) -> Scores:
    """Returns the results of steps as columns: `logit fake_prob`, and MEASURES with several draws.

    With several draws or mirror images, `logit` is the logit of the mean probability.

    Args:
        results: Result of each step. The results of several steps must have `logits`, of which
            alone the scores are computed.
        separate: Whether the mean probability of each step is a column too (`MEMBER_PROB`).
    """
    columns = {name: np.asarray(values, np.float64) for name, values in results[0].items()}
    if "logits" not in columns:
        return columns | {"fake_prob": expit(columns["logit"])}
    logits = np.concatenate([np.asarray(r["logits"], np.float64) for r in results], axis=1)
    draws = expit(logits).mean(axis=0)  # over a clip and its mirror image
    scores = summarise_draws(draws) if len(draws) > 1 else {"fake_prob": draws[0]}
    if separate:
        parts = enumerate(results, 1)
        scores |= {f"{MEMBER_PROB}{n}": expit(r["logits"]).mean(axis=(0, 1)) for n, r in parts}
    with np.errstate(divide="ignore"):
        return scores | {"logit": logit(scores["fake_prob"])}
