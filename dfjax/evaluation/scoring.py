"""Scores of clips: one jitted step, and the loop that fills the predictions table."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float
from scipy.special import expit, logit

from dfjax.evaluation.method_guesses import PREFIX
from dfjax.evaluation.predictions import COLUMNS
from dfjax.evaluation.uncertainty import summarise
from dfjax.shapes import Apply, Batch, Loss, Preprocess, Variables

PredictStep = Callable[[Any, Mapping[str, Any]], dict[str, Array]]
"""`step(variables, batch)`, see `score`."""

# What happens on the device; the rest of a batch (labels, row numbers) never leaves the host.
DEVICE_KEYS = ("clip", "features", "mask", "position", "flow")
LOSS_KEYS = (*DEVICE_KEYS, "label", "weight", "method")


def make_predict_step(
    apply: Apply, preprocess: Preprocess, *, loss: Loss | None = None, methods: Sequence[str] = ()
) -> PredictStep:
    """Returns a jitted `step(variables, batch) -> {"logit": f32[B]}` in test mode.

    Args:
        apply: of the model.
        preprocess: of the model.
        loss: the step gives `loss` f32[B] too, and needs the batch's `LOSS_KEYS`.
        methods: what the model's second head tells apart: the step gives the probability of each,
            `method_prob:NAME` f32[B].
    """

    @jax.jit
    def step(variables: Variables, batch: Batch) -> dict[str, Float[Array, "B"]]:
        inputs = preprocess(batch, None, train=False)  # evaluation draws nothing
        logits, outputs, _ = apply(variables, inputs, train=False, rngs=None)
        scores = {"logit": logits.astype(jnp.float32)}
        if methods:
            probs = jax.nn.softmax(outputs["method_logits"].astype(jnp.float32))
            scores |= {PREFIX + name: probs[:, place] for place, name in enumerate(methods)}
        return scores if loss is None else scores | {"loss": loss(logits, outputs, batch)}

    return step


def score(
    predict_step: PredictStep,
    variables: Any,
    batches: Iterable[Mapping[str, np.ndarray]],
    index: pd.DataFrame,
    *,
    split: str,
    unit: str = "clip",
    keys: Sequence[str] = DEVICE_KEYS,
) -> pd.DataFrame:
    """Returns the predictions table of every clip in `batches`; padding (weight 0) is left out.

    Whatever the step gives besides `logit` is a further column.

    Only scores are kept, never images or features, and one batch is computed while the next one
    is being read.

    Args:
        predict_step: `make_predict_step(…)`, or one that gives several draws of every score as
            `logits` (`draws.make_draw_step`): the table then has `uncertainty.MEASURES` too.
        variables: what the step takes: parameters and batch statistics, or those of several.
        batches: evaluation batches; `video_index` counts rows of `index`.
        index: `pack.index`; gives dataset, id and method.
        split: the name written to the column of that name.
        unit: what a row is, `clip`, or `frame` where T = 1.
        keys: what of a batch the step reads.
    """
    rows: list[dict[str, np.ndarray]] = []
    pending: tuple[Mapping[str, np.ndarray], Mapping[str, jax.Array]] | None = None
    for batch in batches:
        on_device = {key: jnp.asarray(batch[key]) for key in keys if key in batch}
        scores = predict_step(variables, on_device)  # returns before it is computed
        if pending:
            rows.append(_rows(*pending))
        pending = (batch, scores)
    if pending:
        rows.append(_rows(*pending))
    return _table(rows, index, split=split, unit=unit)


def _rows(
    batch: Mapping[str, np.ndarray], scores: Mapping[str, jax.Array]
) -> dict[str, np.ndarray]:
    """The real rows of one batch: where they come from and what they scored."""
    kept = np.asarray(batch["weight"]) > 0
    mask, position = np.asarray(batch["mask"]), np.asarray(batch["position"])
    first = mask.argmax(axis=1)  # padding may stand before the frames
    return {
        "video_index": np.asarray(batch["video_index"])[kept],
        "position": position[np.arange(len(first)), first][kept],
        "label": np.asarray(batch["label"])[kept],
    } | {name: values[kept] for name, values in read_scores(scores).items()}


def read_scores(scores: Mapping[str, jax.Array]) -> dict[str, Float[np.ndarray, "N"]]:
    """Returns what a step gave as columns: `logit fake_prob`, and MEASURES of several draws.

    The logit of several draws, or of a clip and its mirror image, is that of the mean probability.
    """
    columns = {name: np.asarray(values, np.float64) for name, values in scores.items()}
    if "logits" not in columns:
        return columns | {"fake_prob": expit(columns["logit"])}
    draws = expit(columns.pop("logits")).mean(axis=0)  # over a clip and its mirror image
    columns |= summarise(draws) if len(draws) > 1 else {"fake_prob": draws[0]}
    with np.errstate(divide="ignore"):
        return columns | {"logit": logit(columns["fake_prob"])}


def _table(
    rows: list[dict[str, np.ndarray]], index: pd.DataFrame, *, split: str, unit: str
) -> pd.DataFrame:
    if not rows:
        return pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS)
    columns = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
    videos = index.iloc[columns.pop("video_index")]
    table = pd.DataFrame(columns)
    for name in ("dataset", "method"):
        table[name] = videos[name].to_numpy()
    table = table.assign(unit=unit, split=split, **_split_faces(videos))
    further = [name for name in table if name not in COLUMNS]
    return table[[*COLUMNS, *further]].astype(COLUMNS)


def _split_faces(videos: pd.DataFrame) -> dict[str, np.ndarray]:
    """Columns `video_id` and `face` of rows of an index, where face k is the row `VIDEO_ID#k`."""
    ids = videos["video_id"].to_numpy()
    if "face" not in videos:
        return {"video_id": ids, "face": np.zeros(len(ids), np.int32)}
    faces = videos["face"].fillna(0).to_numpy(np.int32)
    names = [name.removesuffix(f"#{k}") if k else name for name, k in zip(ids, faces)]
    return {"video_id": np.array(names, object), "face": faces}
