"""The scoring loop: rows joined by id, padding dropped, evaluation mode, one compilation."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from dfjax.evaluation.predictions import COLUMNS
from dfjax.evaluation.scoring import LOSS_KEYS, make_predict_step, score

INDEX = pd.DataFrame(
    {"dataset": ["a", "a", "b"], "video_id": ["a/0", "a/1", "b/0"], "method": ["real", "DF", "FS"]}
)


def batch(values, weights, videos, labels):
    n = len(values)
    return {
        "clip": np.tile(np.reshape(values, (n, 1, 1, 1, 1)), (1, 2, 4, 4, 3)).astype(np.uint8),
        "mask": np.array([[False, True]] * n),
        "position": np.array([[0, 7]] * n, np.int32),
        "label": np.array(labels, np.int8),
        "weight": np.array(weights, np.float32),
        "video_index": np.array(videos, np.int32),
    }


def preprocess(batch, rng, *, train):
    assert not train
    return {"hq": batch["clip"].astype(jnp.float32), "mask": batch["mask"]}


class MeanModel:
    """Logit = scale x mean pixel; counts how often it is traced."""

    traces = 0

    def apply(self, variables, inputs, *, train, rngs):
        assert not train and rngs is None
        self.traces += 1
        logits = inputs["hq"].mean((1, 2, 3, 4)) * variables["params"]["scale"]
        return logits, {}, {}


VARIABLES = {"params": {"scale": jnp.float32(0.5)}, "batch_stats": {}}


def test_rows_are_joined_by_id_and_padding_is_left_out():
    model = MeanModel()
    step = make_predict_step(model.apply, preprocess)
    batches = [batch([4, 2], [1, 1], [2, 0], [1, 0]), batch([6, 9], [1, 0], [1, 0], [1, 0])]
    table = score(step, VARIABLES, batches, INDEX, split="test")
    assert list(table) == list(COLUMNS)
    assert table["video_id"].tolist() == ["b/0", "a/0", "a/1"]
    assert table["dataset"].tolist() == ["b", "a", "a"]
    assert table["method"].tolist() == ["FS", "real", "DF"]
    assert table["label"].tolist() == [1, 0, 1]
    assert table["logit"].tolist() == [2.0, 1.0, 3.0]
    np.testing.assert_allclose(table["fake_prob"], 1 / (1 + np.exp([-2.0, -1.0, -3.0])))
    assert table["position"].tolist() == [7, 7, 7]  # the first frame that is not padding
    assert set(table["unit"]) == {"clip"} and set(table["split"]) == {"test"}
    assert model.traces == 1


def test_no_batches_give_an_empty_table_with_the_columns():
    step = make_predict_step(MeanModel().apply, preprocess)
    assert list(score(step, VARIABLES, [], INDEX, split="val")) == list(COLUMNS)


def test_the_last_batch_is_not_forgotten():
    step = make_predict_step(MeanModel().apply, preprocess)
    for n in (1, 2, 3):
        batches = [batch([i], [1], [i], [0]) for i in range(n)]
        table = score(step, VARIABLES, batches, INDEX, split="test")
        assert table["logit"].tolist() == pytest.approx([0.5 * i for i in range(n)])


def test_faces_of_one_video_share_its_id():
    step = make_predict_step(MeanModel().apply, preprocess)
    index = INDEX.assign(video_id=["a/0", "a/0#1", "b/0#1"], face=[0, 1, None])
    table = score(
        step, VARIABLES, [batch([4, 2, 6], [1] * 3, [0, 1, 2], [1] * 3)], index, split="x"
    )
    assert table["video_id"].tolist() == ["a/0", "a/0", "b/0#1"]  # the last is no face of ours
    assert table["face"].tolist() == [0, 1, 0]


def test_probabilities_of_methods_are_columns_and_the_loss_another():
    def apply(variables, inputs, *, train, rngs):
        logits = inputs["hq"].mean((1, 2, 3, 4))
        return logits, {"method_logits": jnp.stack([logits, 2 * logits], 1)}, {}

    def loss(logits, outputs, batch):
        return jnp.abs(logits - batch["label"])

    step = make_predict_step(apply, preprocess, loss=loss, methods=("real", "FS"))
    batches = [batch([4, 2], [1, 1], [2, 0], [1, 0])]
    table = score(step, VARIABLES, batches, INDEX, split="test", keys=LOSS_KEYS)
    assert set(table) == {*COLUMNS, "method_prob:real", "method_prob:FS", "loss"}
    np.testing.assert_allclose(table["method_prob:FS"], 1 / (1 + np.exp(-table["logit"])))
    assert table["loss"].tolist() == (table["logit"] - table["label"]).abs().tolist()
