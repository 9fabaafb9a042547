"""The default number of clips per batch."""

import jax
import pytest

from dfjax.config import load_config
from dfjax.inference.batch_size import choose_batch_size


@pytest.mark.parametrize(
    ("name", "cpu", "gpu"),
    [("dual_stream", 1, 16), ("efficientnet_b4", 16, 32), ("gend", 16, 32), ("hybrid", 1, 16)],
)
def test_a_batch_on_a_cpu_has_few_frames(monkeypatch, name, cpu, gpu):
    config = load_config(name)
    for backend, size in (("cpu", cpu), ("gpu", gpu), ("tpu", gpu)):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        assert choose_batch_size(config) == size


def test_a_config_with_smaller_batches_keeps_them(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    assert choose_batch_size(load_config("efficientnet_b4", {"eval.batch_size": 4})) == 4
