"""Tests reading the variables of complete, truncated and missing checkpoints."""

import shutil

import jax.numpy as jnp
import pytest

from dfjax.errors import UsageError
from dfjax.training.checkpoint import Checkpoints

ITEMS = {
    "variables": {"params": {"kernel": jnp.arange(6.0).reshape(2, 3)}, "batch_stats": {}},
    "training": {"step": jnp.int32(3)},
}


@pytest.fixture
def saved(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save("best", 3, ITEMS, {"run": {}})
    yield checkpoints
    checkpoints.close()


def test_weights_come_back_without_the_rest(saved):
    step, variables = saved.restore_variables("best")
    assert step == 3 and variables["params"]["kernel"].tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(UsageError, match="no last checkpoint yet; checkpoint=best exists"):
        saved.restore_variables("last")


def test_a_run_that_saved_nothing_yet(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(UsageError, match="no best checkpoint yet; train first"):
        checkpoints.restore_variables("best")
    checkpoints.close()


@pytest.mark.parametrize("how", ["gone", "cut"])
def test_a_damaged_checkpoint_is_one_line_that_says_what_may_help(saved, tmp_path, how):
    folder = tmp_path / "checkpoints/best/3/variables"
    if how == "gone":
        shutil.rmtree(folder)
    else:
        for file in filter(lambda path: path.is_file(), folder.rglob("*")):
            file.write_bytes(file.read_bytes()[:10])
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(UsageError, match="best/3 .* is damaged: .*checkpoint=last") as error:
        checkpoints.restore_variables("best")
    checkpoints.close()
    assert "\n" not in str(error.value)
