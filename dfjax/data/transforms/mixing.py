"""Mixes the clips of a batch by Mixup or CutMix, on the device and inside `jit`.

A clip is mixed with one of the two clips before it in the batch, its partner. On several devices,
this exchanges clips between neighbouring devices only, where a random permutation would gather the
batch on every device. In batches that alternate real and fake clips, the two possible partners are
of the other and of the same class. The key of a clip depends on its position in the batch.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, Shaped

from dfjax.errors import UsageError
from dfjax.shapes import Batch

Mix = Callable[[Batch, Key[Array, ""]], Batch]
"""`mix(batch, rng) -> batch`, with mixed `clip` and soft labels in `target f32[B]`."""


class Draws(NamedTuple):
    """Random numbers of each clip.

    The weight of the partner in pixel (t, y, x) is `share * time[t] * rows[y] * columns[x]`.

    Attributes:
        nearer: Whether the partner is the previous clip, rather than the one before that.
        share: Weight of the partner where the clips are mixed, 0 if they are not.
        time: Which frames are mixed.
        rows: Which rows of pixels are mixed.
        columns: Which columns of pixels are mixed.
    """

    nearer: Bool[Array, "B"]
    share: Float[Array, "B"]
    time: Bool[Array, "B T"]
    rows: Bool[Array, "B H"]
    columns: Bool[Array, "B W"]


def make_mix(*, mixup: float, cutmix: float, probability: float, segment: bool) -> Mix | None:
    """Returns the function that mixes the clips of a batch, or None if both methods are off.

    Mixup (Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization") is a weighted mean of two
    clips. CutMix (Yun et al. 2019) replaces a box, the same in all frames, by that of the partner.
    If both are on, each mixed clip uses one of them with equal probability. `clip` is floating
    point. `target` is the mean of the two labels, weighted by the share of the mixed pixels in the
    valid frames of the clip.

    The weight of the partner is the smaller of λ ~ Beta(a, a) and 1 - λ, so that `mask`, `position`
    and `video_index` still describe the larger part of a clip. Frames that are padding in the
    partner are not mixed. CutMix also mixes the flow inside the box. Flow between a frame with and
    a frame without the box is zero there.

    Args:
        mixup: Parameter a of the Beta distribution of Mixup; 0 switches it off.
        cutmix: Parameter a of the Beta distribution of CutMix; 0 switches it off.
        probability: Probability that a clip is mixed.
        segment: Whether the box of CutMix extends over a random segment of frames instead of all.

    Raises:
        UsageError: A parameter is out of range. The returned function raises it if Mixup is on and
            the batch has flow.
    """
    if min(mixup, cutmix) < 0:
        raise UsageError(f"mix.mixup and mix.cutmix must not be negative, not {mixup} and {cutmix}")
    if not 0 <= probability <= 1:
        raise UsageError(f"mix.probability must be in [0, 1], not {probability}")
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
    """Returns the draws of one clip of shape (T, H, W)."""
    t, h, w = shape
    mixed, kind, nearer, weight, centre, length, first = jax.random.split(key, 7)
    cut = jax.random.bernoulli(kind, 0.5 if mixup and cutmix else float(cutmix > 0))
    a = jnp.where(cut, cutmix, mixup)
    weight = jax.random.beta(weight, a, a)
    weight = jnp.minimum(weight, 1.0 - weight)  # of the partner
    y, x = jax.random.uniform(centre, (2,))
    rows, columns = (_inside(size, at, weight) | ~cut for size, at in ((h, y), (w, x)))
    length = jax.random.randint(length, (), 1, t + 1)
    first = jax.random.randint(first, (), 0, t - length + 1)
    place = jnp.arange(t)
    time = (place >= first) & (place < first + length) | ~(cut & segment)
    share = jnp.where(cut, 1.0, weight) * jax.random.bernoulli(mixed, probability)
    return Draws(jax.random.bernoulli(nearer), share, time, rows, columns)


def _inside(size: int, centre: Float[Array, ""], area: Float[Array, ""]) -> Bool[Array, "{size}"]:
    """Returns which pixels of an axis are in a box.

    Args:
        size: Number of pixels.
        centre: Centre of the box on this axis, in [0, 1].
        area: Area of the box as a fraction of the picture.
    """
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
