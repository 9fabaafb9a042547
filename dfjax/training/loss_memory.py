"""What training remembers of every video: its last loss, by which hard ones come more often.

The memory is part of the state, so that it is checkpointed with it. An epoch is drawn by what was
known at its start, which makes it a function of the checkpoint and of the epoch's number.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from dfjax.shapes import Batch

NOT_SEEN = -1.0
"""The loss of a video that has not been in a batch; losses are not negative."""

Memory = dict[str, Float[Array, "N"]]
"""`loss` and `epoch_start`, one value per video of the data; empty where nothing is remembered."""


def init_memory(videos: int) -> Memory:
    """Returns the memory of a run that has seen none of its `videos`; with 0, no memory."""
    if not videos:
        return {}
    return {name: jnp.full(videos, NOT_SEEN, jnp.float32) for name in ("loss", "epoch_start")}


def remember(memory: Memory, batch: Batch, losses: Float[Array, "B"]) -> Memory:
    """Returns the memory after a batch: each video in it has its loss there.

    The larger one, where a video comes twice. Padding (weight 0) and fakes made of a real video by
    blending say nothing of the video. A mixed clip counts as the one that it is mostly.

    Args:
        memory: before; an empty one stays empty.
        batch: has `video_index`, `weight` and, where there are blended clips, `blend`.
        losses: of its clips.
    """
    if not memory:
        return memory
    before = memory["loss"]
    counts = batch["weight"] > 0
    if "blend" in batch:
        counts &= ~batch["blend"]
    place: Int32[Array, "B"] = jnp.where(counts, batch["video_index"], before.size)
    # The largest does not depend on the order in which a device writes.
    found = jnp.full_like(before, NOT_SEEN).at[place].max(losses, mode="drop")
    return memory | {"loss": jnp.where(found > NOT_SEEN, found, before)}


def begin_epoch(memory: Memory) -> Memory:
    """Returns the memory at the start of an epoch: `epoch_start` is what `loss` is now."""
    if not memory:
        return memory
    losses = np.array(memory["loss"])  # a copy: the step takes over the buffers of its state
    return memory | {"epoch_start": jax.device_put(losses, memory["epoch_start"].sharding)}
