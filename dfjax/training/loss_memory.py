"""The last loss of every video, by which videos with a high loss are drawn more often.

The memory is part of the training state and is saved with it. The draws of an epoch depend on the
losses known at its start, so they are a function of the checkpoint and the number of the epoch.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from dfjax.shapes import Batch

NOT_SEEN = -1.0
"""The loss of a video that has not been in a batch; losses are not negative."""

Memory = dict[str, Float[Array, "N"]]
"""`loss` and `epoch_start`, one value per video of the data set; empty if losses are not kept."""


def init_memory(videos: int) -> Memory:
    """Returns the memory at the start of a run with `videos` videos; with 0 it is empty."""
    if not videos:
        return {}
    return {name: jnp.full(videos, NOT_SEEN, jnp.float32) for name in ("loss", "epoch_start")}


def remember(memory: Memory, batch: Batch, losses: Float[Array, "B"]) -> Memory:
    """Returns the memory after a batch, updated with the loss of each video in the batch.

    Where a video has several clips in the batch, the largest loss is kept. Padding (weight 0) and
    fakes blended from a real video are left out. A mixed clip counts for the video that has the
    larger share in it.

    Args:
        memory: Memory before the batch; an empty one stays empty.
        batch: Batch with `video_index`, `weight` and, where there are blended clips, `blend`.
        losses: Losses of the clips of the batch.
    """
    if not memory:
        return memory
    before = memory["loss"]
    counts = batch["weight"] > 0
    if "blend" in batch:
        counts &= ~batch["blend"]
    place: Int32[Array, "B"] = jnp.where(counts, batch["video_index"], before.size)
    # A maximum does not depend on the order in which a device writes.
    found = jnp.full_like(before, NOT_SEEN).at[place].max(losses, mode="drop")
    return memory | {"loss": jnp.where(found > NOT_SEEN, found, before)}


def begin_epoch(memory: Memory) -> Memory:
    """Returns the memory at the start of an epoch: `epoch_start` is what `loss` is now."""
    if not memory:
        return memory
    losses = np.array(memory["loss"])  # a copy, because the step donates the buffers of its state
    return memory | {"epoch_start": jax.device_put(losses, memory["epoch_start"].sharding)}
