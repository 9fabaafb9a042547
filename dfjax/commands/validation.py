"""What a run computes after each epoch on the validation split."""

from collections.abc import Callable, Iterator

import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from dfjax.commands.assembly import eval_batches
from dfjax.data.pack import Pack
from dfjax.data.preprocess import Preprocess
from dfjax.evaluation import metrics
from dfjax.evaluation.scoring import make_predict_step, score
from dfjax.losses.classification import Loss
from dfjax.models import ModelFns
from dfjax.shapes import Variables

Array = np.ndarray
Validate = Callable[[Variables, Callable[[], None]], dict[str, float]]


def make_validate(
    config: ConfigDict,
    pack: Pack,
    rows: Array,
    model: ModelFns,
    preprocess: Preprocess,
    loss: Loss,
) -> Validate:
    """Returns `validate(variables, check) -> metrics`: the loss per clip and every scalar metric.

    `check()` is called before each batch and may raise to leave early.
    """
    predict_step = make_predict_step(model.apply, preprocess)

    def validate(variables: Variables, check: Callable[[], None]) -> dict[str, float]:
        def checked() -> Iterator[dict[str, Array]]:
            for batch in eval_batches(pack, config, rows):
                check()
                yield batch

        table = score(predict_step, variables, checked(), pack.index, split="val")
        labels = {"label": jnp.asarray(table["label"], jnp.int8)}
        values = loss(jnp.asarray(table["logit"], jnp.float32), labels)
        scores = metrics.compute(table, resamples=0)
        numbers = {k: v for k, v in scores.items() if not isinstance(v, list)}
        found = {k: float("nan") if v is None else float(v) for k, v in numbers.items()}
        return {"loss": float(np.mean(values)), **found}

    return validate
