"""Measures the speed of workloads, optionally beside PyTorch peers on the same machine.

The peers run in separate processes. Their steps alternate with ours, so that all of them run under
the same load. Memory settings determine much of the time of a CPU step, so there are two peers: one
with the settings of our own process (`dfjax.huge_pages`), and one with PyTorch's defaults.
"""

import contextlib
import gc
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax

from dfjax.bench.peers import Peer
from dfjax.bench.rows import Cost, identify, summarize, timed
from dfjax.bench.workloads import Settings, make_program
from dfjax.huge_pages import plain_environment

ITEMS = {"b0": 16, "b4": 4, "convlstm": 2, "dual_stream": 1, "unet": 2}
"""Batch of each workload in `measure_all`."""

TORCH, PLAIN = "torch", "torch_plain"  # keys of a row

PLAIN_SECONDS = 20.0
"""Time after which no further step of the plain peer is taken, beyond one timed step."""


def measure_speed(settings: Settings, *, steps: int, compare: bool = False) -> dict[str, Any]:
    """Returns a row of the benchmark for one workload.

    With `compare`, `torch` has the cost of the PyTorch peer under our memory settings and `ratio`
    its time as a multiple of ours; `torch_plain` and `ratio_plain` are those of PyTorch with its
    defaults. If our own process has no memory settings, the two are the same peer.

    Args:
        settings: Workload and shapes.
        steps: Number of timed steps. The row has their medians.
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
    """Yields a row for inference and training of every workload, at the batches of `ITEMS`.

    Args:
        frames: Number of frames per clip.
        size: Side of a frame in pixels.
        dtype: Data type of activations.
        lowering: How convolutions reach the hardware.
        steps: Number of timed steps.
        compare: Whether to run the PyTorch peers.
    """
    for workload, batch in ITEMS.items():
        for mode in ("infer", "train"):
            settings = Settings(workload, mode, batch, frames, size, dtype, lowering)
            yield measure_speed(settings, steps=steps, compare=compare)
            jax.clear_caches()
            gc.collect()  # arrays and programs of a workload are not needed by the next


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
    """Returns the times of the peers as multiples of ours; a single peer is both of them."""
    plain = row.get(PLAIN, row[TORCH])
    return {
        PLAIN: plain,
        "ratio": row[TORCH]["median_s"] / row["median_s"],
        "ratio_plain": plain["median_s"] / row["median_s"],
    }
