"""The PyTorch peers are the models of the workloads, and run as processes."""

import os

import jax
import pytest
import torch_peer

from dfjax.bench.peers import Peer, PeerOptions
from dfjax.bench.workloads import PEERS, WORKLOADS, BenchSettings
from dfjax.models.summary import count

pytestmark = pytest.mark.parity


@pytest.mark.parametrize("workload", PEERS)
def test_they_have_as_many_parameters(workload):
    settings = BenchSettings(workload, "train", 1, 1, 64, "float32", "native")
    task = WORKLOADS[workload](settings)
    ours = jax.eval_shape(task.init, jax.random.key(0), task.inputs)["params"]
    model, _ = torch_peer.make(settings._asdict())
    assert sum(value.numel() for value in model.parameters()) == count(ours)


@pytest.mark.parametrize("mode", ["infer", "train"])
def test_a_step_takes_time_and_cpu_seconds(mode):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # two would wait for each other's core
    settings = BenchSettings("dual_stream", mode, 1, 2, 64, "float32", "native")
    peer = Peer(settings, PeerOptions(environment))
    try:
        cost = peer.run(1)
    finally:
        peer.close()
    assert cost.wall > 0 and cost.user > 0 and cost.system >= 0
