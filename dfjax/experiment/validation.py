"""Validation of a run after each epoch."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from dfjax.data.store.frame_store import FrameStore
from dfjax.evaluation import metrics
from dfjax.evaluation.flags.constancy import describe_constant, has_constant_scores
from dfjax.evaluation.scoring.score_table import tabulate
from dfjax.evaluation.scoring.scorer import LOSS_KEYS, Scorer, make_predict_step
from dfjax.evaluation.videos.aggregation import aggregate, clean
from dfjax.experiment.builders import score_unit
from dfjax.experiment.objective import list_methods, make_config_loss
from dfjax.experiment.run_data import eval_batches, reads_masks
from dfjax.losses.objective import sum_objective
from dfjax.models import ModelFns
from dfjax.shapes import Preprocess, Variables
from dfjax.training.state import Validate

Array = np.ndarray


def make_validate(
    config: ConfigDict,
    pack: FrameStore,
    rows: Mapping[str, Array],
    model: ModelFns,
    preprocess: Preprocess,
    mesh: Mesh,
) -> Validate:
    """Returns the function `validate(variables, check) -> metrics`.

    The metrics are the mean loss of the clips without class weights, every scalar metric, and
    `constant_scores` and `constant_verdicts`, which are 1 if the detector is constant
    (`evaluation.constancy`). `check()` is called before each batch and may raise an exception to
    stop. Clips are in random order, since losses that compare clips need both classes in a batch,
    and are divided over the mesh as in training.

    Args:
        config: Config of the run.
        pack: Data of the run.
        rows: Positions of the videos in the index, by split.
        model: Model of the run.
        preprocess: Function that turns a batch into the inputs of the model.
        mesh: Device mesh.
    """
    loss = sum_objective(make_config_loss(config, pack.index, rows["train"], weighted=False))
    predict_step = make_predict_step(model.apply, preprocess, loss=loss)
    scorer = Scorer(predict_step, mesh=mesh, keys=LOSS_KEYS)
    places = scorer.local_places(config.eval.batch_size)
    methods = list_methods(config, pack.index, rows["train"])
    masks = reads_masks(pack, config)
    mixed = np.random.default_rng(0).permutation(rows["val"])

    def validate(variables: Variables, check: Callable[[], None]) -> dict[str, float]:
        def checked() -> Iterator[dict[str, Array]]:
            for batch in eval_batches(pack, config, mixed, methods, places=places, masks=masks):
                check()
                yield batch

        scored = scorer([variables], checked())
        table = tabulate(scored, pack.index, split="val", unit=score_unit(config))
        scores = metrics.compute(table, resamples=0)
        numbers = {k: v for k, v in scores.items() if not isinstance(v, list)}
        found = {k: float("nan") if v is None else float(v) for k, v in numbers.items()}
        videos = aggregate(clean(table))
        return {
            "loss": float(table["loss"].mean()),
            **found,
            "constant_scores": float(has_constant_scores(videos)),
            "constant_verdicts": float(bool(describe_constant(videos))),
        }

    return validate
