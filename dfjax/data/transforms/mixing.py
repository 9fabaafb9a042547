"""Mixup and CutMix of whole clips, on device and inside `jit`.

A clip is mixed with one of the two before it in the batch. Neighbours cost a step between devices
where a permutation would gather the batch on each, and in batches that alternate real and fake the
first is of the other class and the second of the same. Draws come from a key per place.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, Shaped

from dfjax.errors import UsageError
from dfjax.shapes import Batch

Mix = Callable[[Batch, Key[Array, ""]], Batch]
"""`mix(batch, rng) -> batch`, with `clip` mixed and the soft labels in `target f32[B]`."""


class Draws(NamedTuple):
    """What is drawn for each clip.

    The partner's part of pixel (t, y, x) is `share * time[t] * rows[y] * columns[x]`.
    """

    nearer: Bool[Array, "B"]  # the partner is the clip just before, not the one before that
    share: Float[Array, "B"]
    time: Bool[Array, "B T"]
    rows: Bool[Array, "B H"]
    columns: Bool[Array, "B W"]


def make_mix(*, mixup: float, cutmix: float, probability: float, segment: bool) -> Mix | None:
    """Returns `mix(batch, rng) -> batch`, or None where both kinds are off.

    Mixup (Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization") adds two clips, CutMix
    (Yun et al. 2019) puts a box of one into the other, the same in all frames. With both, each
    mixed clip takes either with even chances. `clip` is floating point; `target` counts what was
    really mixed, over the clip's own frames.

    The weight of Beta(a, a) is taken as the larger of it and its complement, so that a clip stays
    at least half itself: its `mask`, `position` and `video_index` remain true. Where the partner
    has no frame, the clip keeps its own. Of flow, CutMix takes the partner's inside the box, and
    nothing where one of the two frames is cut and the other is not.

    Args:
        mixup: a of mixup's Beta distribution; 0: off.
        cutmix: a of CutMix's; 0: off.
        probability: of a clip being mixed.
        segment: CutMix's box lasts for a random run of frames, instead of all.

    Raises:
        UsageError: a parameter out of its range; when called, flow together with mixup.
    """
    if min(mixup, cutmix) < 0:
        raise UsageError(f"mix.mixup and mix.cutmix must not be negative: {mixup}, {cutmix}")
    if not 0 <= probability <= 1:
        raise UsageError(f"mix.probability is a probability, {probability} is not in [0, 1]")
    if not (mixup or cutmix) or not probability:
        return None

    def mix(batch: Batch, rng: Key[Array, ""]) -> Batch:
        if mixup and "flow" in batch:
            raise UsageError("mix.mixup cannot add optical flow; use mix.cutmix with data.flow")
        b, t, h, w, _ = batch["clip"].shape

        def draw(i: Array) -> Draws:
            key = jax.random.fold_in(rng, i)
            return _draw(key, (t, h, w), mixup, cutmix, probability, segment)

        return _apply(batch, jax.vmap(draw)(jnp.arange(b)))

    return mix


def _draw(
    key: Key[Array, ""],
    shape: tuple[int, int, int],
    mixup: float,
    cutmix: float,
    probability: float,
    segment: bool,
) -> Draws:
    """The draws of one clip of `shape` T, H, W."""
    t, h, w = shape
    mixed, kind, nearer, weight, centre, length, first = jax.random.split(key, 7)
    cut = jax.random.bernoulli(kind, 0.5 if mixup and cutmix else float(cutmix > 0))
    a = jnp.where(cut, cutmix, mixup)
    weight = jax.random.beta(weight, a, a)
    weight = jnp.minimum(weight, 1.0 - weight)  # the partner's
    y, x = jax.random.uniform(centre, (2,))
    rows, columns = (_inside(size, at, weight) | ~cut for size, at in ((h, y), (w, x)))
    length = jax.random.randint(length, (), 1, t + 1)
    first = jax.random.randint(first, (), 0, t - length + 1)
    place = jnp.arange(t)
    time = (place >= first) & (place < first + length) | ~(cut & segment)
    share = jnp.where(cut, 1.0, weight) * jax.random.bernoulli(mixed, probability)
    return Draws(jax.random.bernoulli(nearer), share, time, rows, columns)


def _inside(size: int, centre: Float[Array, ""], area: Float[Array, ""]) -> Bool[Array, "{size}"]:
    """Which pixels of an axis a box of `area`, as a fraction of the picture, covers."""
    middle = (jnp.arange(size) + 0.5) / size
    return jnp.abs(middle - centre) < jnp.sqrt(area) / 2


def _apply(batch: Batch, draws: Draws) -> Batch:
    def partner(x: Shaped[Array, "B ..."]) -> Shaped[Array, "B ..."]:
        nearer = draws.nearer.reshape(-1, *(1,) * (x.ndim - 1))
        return jnp.where(nearer, jnp.roll(x, 1, axis=0), jnp.roll(x, 2, axis=0))

    clip, mask = batch["clip"], batch["mask"]
    time = draws.share[:, None] * (draws.time & mask & partner(mask))
    box = draws.rows[:, :, None] & draws.columns[:, None, :]
    part = time[:, :, None, None, None] * box[:, None, :, :, None]  # [B, T, H, W, 1]
    mixed = dict(batch)
    mixed["clip"] = clip + part.astype(clip.dtype) * (partner(clip) - clip)
    if "flow" in batch:
        flow, now, then = batch["flow"], part[:, :-1], part[:, 1:]
        theirs = (now * then).astype(flow.dtype)
        own = ((1.0 - now) * (1.0 - then)).astype(flow.dtype)
        mixed["flow"] = own * flow + theirs * partner(flow)
    frames = mask.sum(axis=1)
    share = part.mean(axis=(2, 3, 4)).sum(axis=1) / frames
    label = batch["label"].astype(jnp.float32)
    mixed["target"] = label + share * (partner(label) - label)
    return mixed
