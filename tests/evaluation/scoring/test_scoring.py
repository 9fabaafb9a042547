"""The scoring loop: rows joined by id, padding dropped, evaluation mode, one compilation."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from dfjax.evaluation.scoring.score_table import tabulate
from dfjax.evaluation.scoring.scorer import LOSS_KEYS, Scorer, make_predict_step
from dfjax.evaluation.tables.predictions import COLUMNS

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


def score(step, batches, index=INDEX, *, split, keys=LOSS_KEYS):
    return tabulate(Scorer(step, keys=keys)([VARIABLES], batches), index, split=split)


def test_rows_are_joined_by_id_and_padding_is_left_out():
    model = MeanModel()
    step = make_predict_step(model.apply, preprocess)
    batches = [batch([4, 2], [1, 1], [2, 0], [1, 0]), batch([6, 9], [1, 0], [1, 0], [1, 0])]
    table = score(step, batches, split="test")
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
    assert list(score(step, [], split="val")) == list(COLUMNS)


def test_the_last_batch_is_not_forgotten():
    step = make_predict_step(MeanModel().apply, preprocess)
    for n in (1, 2, 3):
        batches = [batch([i], [1], [i], [0]) for i in range(n)]
        table = score(step, batches, split="test")
        assert table["logit"].tolist() == pytest.approx([0.5 * i for i in range(n)])


def test_faces_of_one_video_share_its_id():
    step = make_predict_step(MeanModel().apply, preprocess)
    index = INDEX.assign(video_id=["a/0", "a/0#1", "b/0#1"], face=[0, 1, None])
    table = score(step, [batch([4, 2, 6], [1] * 3, [0, 1, 2], [1] * 3)], index, split="x")
    assert table["video_id"].tolist() == ["a/0", "a/0", "b/0#1"]  # the last is no face of ours
    assert table["face"].tolist() == [0, 1, 0]


def test_the_share_of_frames_with_a_face_is_a_column_where_it_is_asked_for():
    step = make_predict_step(MeanModel().apply, preprocess)
    index = INDEX.assign(
        frame_indices=[[3, 7], [0, 5, 7], [7]], face_found=[[True, False], [True, True, True], None]
    )
    clips = batch([4, 2, 6], [1] * 3, [0, 1, 2], [1] * 3)
    clips["mask"] = np.array([[True, True], [True, True], [False, True]])
    clips["position"] = np.array([[3, 7], [5, 7], [0, 7]], np.int32)
    scored = list(Scorer(step)([VARIABLES], [clips]))
    table = tabulate(scored, index, split="test", face_shares=True)
    np.testing.assert_array_equal(table["face_share"], [0.5, 1.0, np.nan])
    assert "face_share" not in tabulate(scored, index, split="test")


def test_probabilities_of_methods_are_columns_and_the_loss_another():
    def apply(variables, inputs, *, train, rngs):
        logits = inputs["hq"].mean((1, 2, 3, 4))
        return logits, {"method_logits": jnp.stack([logits, 2 * logits], 1)}, {}

    def loss(logits, outputs, batch):
        return jnp.abs(logits - batch["label"])

    step = make_predict_step(apply, preprocess, loss=loss, methods=("real", "FS"))
    batches = [batch([4, 2], [1, 1], [2, 0], [1, 0])]
    table = score(step, batches, split="test")
    assert set(table) == {*COLUMNS, "method_prob:real", "method_prob:FS", "loss"}
    np.testing.assert_allclose(table["method_prob:FS"], 1 / (1 + np.exp(-table["logit"])))
    assert table["loss"].tolist() == (table["logit"] - table["label"]).abs().tolist()


@pytest.mark.parametrize("clips", [1, 5, 8, 11])
def test_a_batch_of_any_size_is_divided_over_all_devices(clips):
    """The clips that fill a batch up to a multiple of the devices have no score and no weight."""
    scorer = Scorer(make_predict_step(MeanModel().apply, preprocess), keys=LOSS_KEYS)
    one = batch(list(range(1, clips + 1)), [1] * clips, [0] * clips, [0] * clips)
    on_devices = scorer.put_batch(one)
    rows = {
        len(x.addressable_shards) * len(x.addressable_shards[0].data) for x in on_devices.values()
    }
    assert len(jax.local_devices()) == 8 and rows == {-(-clips // 8) * 8}
    weight = np.asarray(on_devices["weight"])
    assert (weight[:clips] == 1).all() and not weight[clips:].any()
    ((same, scores),) = scorer([VARIABLES], [one])
    assert same is one
    np.testing.assert_allclose(scores["logit"], 0.5 * np.arange(1, clips + 1))


def test_batches_that_are_filled_up_share_one_program():
    model = MeanModel()
    scorer = Scorer(make_predict_step(model.apply, preprocess))
    batches = [batch([i] * n, [1] * n, [0] * n, [0] * n) for i, n in enumerate((16, 3, 9))]
    scored = list(scorer([VARIABLES], batches, batch_size=16))
    assert [len(scores["logit"]) for _, scores in scored] == [16, 3, 9]
    assert model.traces == 1


def test_one_batch_is_computed_while_the_next_is_read():
    scorer = Scorer(make_predict_step(MeanModel().apply, preprocess))
    read = []

    def batches():
        for i in range(3):
            read.append(i)
            yield batch([i], [1], [0], [0])

    scored = scorer([VARIABLES], batches())
    assert read == []
    next(scored)
    assert read == [0, 1]


def test_scores_of_several_detectors_are_averaged():
    def draw(scale):
        return lambda variables, batch: {
            "logits": scale * variables["params"]["scale"] * jnp.ones((1, 1, len(batch["mask"])))
        }

    scorer = Scorer(draw(2.0), draw(-2.0))
    ((_, scores),) = scorer([VARIABLES] * 2, [batch([4, 2], [1, 1], [0, 0], [0, 0])])
    np.testing.assert_allclose(scores["fake_prob"], [0.5, 0.5])
    np.testing.assert_allclose(scores["fake_prob_sd"], [1 / (1 + np.exp(-1)) - 0.5] * 2, rtol=1e-6)
