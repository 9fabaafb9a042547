"""Measures the speed of workloads, optionally compared with PyTorch on the same machine.

The PyTorch equivalents (peers) run in separate processes. Their steps alternate with ours, so that
all run under the same load. Memory settings have a large influence on the time of a step on a CPU,
so there are two peers: one with the settings of our process (`dfjax.huge_pages`), and one with the
defaults of PyTorch.
"""

import contextlib
import gc
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax

from dfjax.bench.peers import Peer
from dfjax.bench.rows import Cost, identify, summarize, timed
from dfjax.bench.workloads import BenchSettings, make_program
from dfjax.huge_pages import plain_environment

ITEMS = {"b0": 16, "b4": 4, "convlstm": 2, "dual_stream": 1, "unet": 2}
"""Batch size of each workload in `measure_all`."""

TORCH, PLAIN = "torch", "torch_plain"  # keys of a row

PLAIN_SECONDS = 20.0
"""Time after which the peer with default settings is not measured further."""


def measure_speed(settings: BenchSettings, *, steps: int, compare: bool = False) -> dict[str, Any]:
    """Returns a row of the benchmark for one workload.

    With `compare`, `torch` is the cost of the PyTorch peer with our memory settings, and `ratio`
    its time divided by ours; `torch_plain` and `ratio_plain` are the same for PyTorch with its
    defaults. If our process has no memory settings, there is only one peer.

    Args:
        settings: Workload and shapes.
        steps: Number of timed steps, of which the row has the medians.
        compare: Whether to run the PyTorch peers.

    Raises:
        UsageError: A peer cannot run.
    """
    environments = _peer_environments() if compare else {}
    with contextlib.ExitStack() as stack:
        peers = {
            name: stack.enter_context(contextlib.closing(Peer(settings, environment)))
            for name, environment in environments.items()
        }
        program = make_program(settings)
        ours, theirs = _take_turns(program.step, peers, steps)
    run = settings._asdict()
    lowering = run.pop("lowering")
    row = identify(**run) | {"lowering": lowering} | summarize(ours, settings.batch)
    row |= {
        "compile_s": program.compile_s,
        "peak_bytes": program.peak_bytes,
        "params": program.params,
    }
    for name, costs in theirs.items():
        row[name] = summarize(costs, settings.batch) | {"steps": len(costs)}
    return row | _compute_ratios(row) if compare else row


def measure_all(
    *, frames: int, size: int, dtype: str, lowering: str, steps: int, compare: bool = False
) -> Iterator[dict[str, Any]]:
    """Yields a row for inference and training of every workload, with the batch sizes of `ITEMS`.

    Args:
        frames: Number of frames per clip.
        size: Side of a frame in pixels.
        dtype: Data type of activations.
        lowering: Lowering of the convolutions.
        steps: Number of timed steps.
        compare: Whether to run the PyTorch peers.
    """
    for workload, batch in ITEMS.items():
        for mode in ("infer", "train"):
            settings = BenchSettings(workload, mode, batch, frames, size, dtype, lowering)
            yield measure_speed(settings, steps=steps, compare=compare)
            jax.clear_caches()
            gc.collect()  # frees the arrays and programs of the workload


def _peer_environments() -> dict[str, Mapping[str, str]]:
    """Returns the environment variables of each peer, by its key in a row."""
    same, plain = dict(os.environ), plain_environment()
    return {TORCH: same} if same == plain else {TORCH: same, PLAIN: plain}


def _take_turns(
    step: Callable[[], None], peers: Mapping[str, Peer], steps: int
) -> tuple[list[Cost], dict[str, list[Cost]]]:
    """Returns the cost of every timed step, ours and those of the peers."""
    ours: list[Cost] = []
    theirs: dict[str, list[Cost]] = {name: [] for name in peers}
    for _ in range(steps + 1):
        with timed(ours):
            step()
        for name, peer in peers.items():
            if name != PLAIN or not _is_enough(theirs[name]):
                theirs[name].append(peer.step())
    return ours[1:], {name: costs[1:] for name, costs in theirs.items()}  # the first is a warm-up


def _is_enough(costs: list[Cost]) -> bool:
    return len(costs) > 1 and sum(cost.wall for cost in costs) > PLAIN_SECONDS


def _compute_ratios(row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the times of the peers divided by ours; a single peer counts as both."""
    plain = row.get(PLAIN, row[TORCH])
    return {
        PLAIN: plain,
        "ratio": row[TORCH]["median_s"] / row["median_s"],
        "ratio_plain": plain["median_s"] / row["median_s"],
    }
