"""Reads batches ahead of their use, in threads or processes (Grain).

One Grain element is a whole batch, so the readers need no coordination.
"""

import math
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import grain
from absl import flags

from dfjax.shapes import HostBatch


class Batches(Iterator[HostBatch]):
    """Iterator over batches that reads ahead. `close()` ends its threads and processes."""

    def __init__(self, iterator: grain.DatasetIterator) -> None:
        """Wraps a Grain iterator."""
        self._iterator = iterator

    def __next__(self) -> HostBatch:
        """Returns the next batch, and waits until it has been read."""
        return next(self._iterator)

    def close(self) -> None:
        """Ends reading. A thread may still finish its current batch."""
        self._iterator.close()

    def __enter__(self) -> "Batches":
        """Returns itself, so that `with make_train_batches(…) as batches` closes it at the end."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes the iterator."""
        self.close()


def read_ahead(
    plan: Any,
    load: Callable[[Any], HostBatch],
    *,
    workers: int,
    threads: int,
    prefetch: int,
) -> Batches:
    """Returns an iterator over `load(plan[0]), load(plan[1]), …` that reads ahead, in this order.

    Args:
        plan: Sequence of items (with `len` and `[]`). It must be picklable if there are workers.
        load: Function that makes a batch of an item. It must be picklable if there are workers.
        workers: Number of reader processes, each with one thread; 0 reads in threads of this
            process.
        threads: Number of reader threads if `workers` is 0; 0 reads each batch on demand.
        prefetch: Number of batches read ahead.
    """
    dataset = grain.MapDataset.source(plan).map(load)
    ahead = min(prefetch, len(plan))
    if not workers:
        options = grain.ReadOptions(min(threads, ahead), ahead)
        return Batches(iter(dataset.to_iter_dataset(options)))
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # Grain passes absl's flags to its processes
    processes = grain.MultiprocessingOptions(workers, max(1, math.ceil(ahead / workers)))
    batches = dataset.to_iter_dataset(grain.ReadOptions(1, 1))
    return Batches(iter(batches.mp_prefetch(processes, worker_init_fn=_start_worker)))


def _start_worker(number: int, count: int) -> None:
    """Makes a reader process ignore signals and end with its parent.

    Ctrl-C and a scheduler's SIGTERM reach the whole process group, but the parent still needs
    batches until it reaches a step that it can save. If the parent is killed, its readers end too.
    """
    del number, count
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
