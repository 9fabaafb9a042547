"""Measures the speed of workloads, optionally compared with PyTorch on the same machine.

The PyTorch equivalents (peers) run in separate processes. Their steps alternate with ours, so that
all run under the same load.

Memory settings have a large influence on the time of a step on a CPU, so there are two peers there:
one with the settings of our process (`dfjax.huge_pages`), and one with the defaults of PyTorch. On
a GPU the two peers are PyTorch's eager mode and `torch.compile`. They are measured one after the
other, because the memory of the GPU has to hold our own step too. A turn on a GPU is several steps,
of which only the last one is waited for, as in training.
"""

import contextlib
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax

from dfjax.bench import generator_step
from dfjax.bench.peers import Peer, PeerOptions
from dfjax.bench.rows import Cost, identify, summarize, timed
from dfjax.bench.workloads import BenchSettings, Program, make_program
from dfjax.huge_pages import plain_environment

TORCH, PLAIN, COMPILED = "torch", "torch_plain", "torch_compiled"  # keys of a row

PLAIN_SECONDS = 20.0
"""Time after which the peer with default settings is not measured further."""

GPU_TURN = 10
"""Steps per turn on a GPU."""


def measure_speed(settings: BenchSettings, *, steps: int, compare: bool = False) -> dict[str, Any]:
    """Returns a row of the benchmark for one workload.

    With `compare`, `torch` is the cost of the PyTorch peer with our memory settings, and `ratio`
    its time divided by ours; `torch_plain` and `ratio_plain` are the same for PyTorch with its
    defaults. If our process has no memory settings, there is only one peer. On a GPU, `torch` and
    `ratio` are those of PyTorch's eager mode, and `torch_compiled` and `ratio_compiled` those of
    `torch.compile`; their `peak_bytes` is the largest size of their tensors at one time.

    Args:
        settings: Workload and shapes.
        steps: Number of timed turns, of one step each, or of `GPU_TURN` on a GPU. The row has the
            medians of a step.
        compare: Whether to run the PyTorch peers.

    Raises:
        UsageError: A peer cannot run.
    """
    if compare:  # otherwise JAX takes most of a GPU's memory at its start; a CPU ignores this
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    gpu = jax.default_backend() == "gpu"
    turn = GPU_TURN if gpu else 1
    program: Program | None = None
    ours: list[Cost] = []
    row: dict[str, Any] = {}
    for options in _peer_options(gpu) if compare else [{}]:
        with contextlib.ExitStack() as stack:
            peers = {
                name: stack.enter_context(contextlib.closing(Peer(settings, option)))
                for name, option in options.items()
            }
            if program is None:
                generates = settings.workload == generator_step.WORKLOAD
                make = generator_step.make_generator_program if generates else make_program
                program = make(settings)
            costs, theirs = _take_turns(program.run, peers, steps, turn)
            ours += costs
            for name, costs in theirs.items():
                row[name] = summarize(costs, settings.batch, steps=turn) | {"steps": len(costs)}
                if gpu:
                    row[name]["peak_bytes"] = peers[name].peak_bytes()
    assert program is not None
    run = settings._asdict()
    lowering = run.pop("lowering")
    row = (
        identify(**run)
        | {"lowering": lowering}
        | summarize(ours, settings.batch, steps=turn)
        | {
            "compile_s": program.compile_s,
            "peak_bytes": program.peak_bytes,
            "params": program.params,
        }
        | row
    )
    return row | _compute_ratios(row, gpu) if compare else row


def _peer_options(gpu: bool) -> list[dict[str, PeerOptions]]:
    """Returns the peers by their keys in a row, in groups that are measured together."""
    same, plain = dict(os.environ), plain_environment()
    if gpu:
        return [{TORCH: PeerOptions(same, "cuda")}, {COMPILED: PeerOptions(same, "cuda", True)}]
    if same == plain:
        return [{TORCH: PeerOptions(same)}]
    return [{TORCH: PeerOptions(same), PLAIN: PeerOptions(plain)}]


def _take_turns(
    run: Callable[[int], None], peers: Mapping[str, Peer], turns: int, turn: int
) -> tuple[list[Cost], dict[str, list[Cost]]]:
    """Returns the cost of every timed turn of `turn` steps, ours and those of the peers."""
    ours: list[Cost] = []
    theirs: dict[str, list[Cost]] = {name: [] for name in peers}
    for _ in range(turns + 1):
        with timed(ours):
            run(turn)
        for name, peer in peers.items():
            if name != PLAIN or not _is_enough(theirs[name]):
                theirs[name].append(peer.run(turn))
    return ours[1:], {name: costs[1:] for name, costs in theirs.items()}  # the first is a warm-up


def _is_enough(costs: list[Cost]) -> bool:
    return len(costs) > 1 and sum(cost.wall for cost in costs) > PLAIN_SECONDS


def _compute_ratios(row: Mapping[str, Any], gpu: bool) -> dict[str, Any]:
    """Returns the times of the peers divided by ours; on a CPU a single peer counts as both."""
    if gpu:
        other, ratio = row[COMPILED], "ratio_compiled"
    else:
        other, ratio = row.get(PLAIN, row[TORCH]), "ratio_plain"
    return ({} if gpu else {PLAIN: other}) | {
        "ratio": row[TORCH]["median_s"] / row["median_s"],
        ratio: other["median_s"] / row["median_s"],
    }
