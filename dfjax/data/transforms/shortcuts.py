"""Changes real clips as a generator would change them, but generates nothing, on the device.

Each change leaves one trace that fakes also have: the seam and mismatch of a blend, compression, or
another background. A detector that calls the changed clips fake reacts to this trace.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from dfjax.data.transforms.self_blend import draw_blend, make_blend_mask, self_blend
from dfjax.ops.jpeg import compress_jpeg
from dfjax.shapes import Batch, ClipF32, ClipU8

QUALITY = 40.0
"""JPEG quality of clips that are compressed again."""


def change_clips(batch: Batch, rng: Key[Array, ""]) -> dict[str, ClipU8]:
    """Returns changed versions of real clips by name.

    `original` is the clip itself. `unblended` and `self_blended` are the clip before and after
    self-blending: the same views, without and with the pasted face. `real_blended` has the face of
    another real clip, matched in colour, `compressed` has been compressed as JPEG, and
    `real_background` and `fake_background` show the face before the background of another real
    clip, and of a fake one. Frames outside the mask stay black.

    Args:
        batch: Batch with `clip`, `real` and `fake` u8[B,T,H,W,3], `mask` and `video_index`; `real`
            and `fake` are other clips, real and fake.
        rng: Key of the batch. A clip uses the key `fold_in(rng, video_index)`.
    """
    clip, real, fake = (batch[key].astype(jnp.float32) / 255 for key in ("clip", "real", "fake"))
    scaled = {**batch, "clip": clip}
    blends = {
        name: self_blend({**scaled, "blend": jnp.full(len(clip), blended)}, rng)["clip"]
        for name, blended in (("unblended", False), ("self_blended", True))
    }
    face = make_face_mask(scaled, rng)
    versions = {
        "original": clip,
        **blends,
        "real_blended": paste(clip, match_colours(real, clip, face), face),
        "compressed": compress_jpeg(clip, jnp.full(len(clip), QUALITY)),
        "real_background": paste(real, clip, face),
        "fake_background": paste(fake, clip, face),
    }
    shown = batch["mask"][:, :, None, None, None]
    return {name: _quantise(jnp.where(shown, one, 0)) for name, one in versions.items()}


def make_face_mask(batch: Batch, rng: Key[Array, ""]) -> Float[Array, "B T H W 1"]:
    """Returns the soft mask of the face that self-blending uses, with a largest weight of 1.

    Args:
        batch: Batch with `clip f32[B,T,H,W,3]` and the other entries of `self_blend`.
        rng: Key of the batch.
    """
    height, width = batch["clip"].shape[2:4]
    keys = jax.vmap(lambda video: jax.random.fold_in(rng, video))(batch["video_index"])
    _, draws = jax.vmap(lambda key: draw_blend(key, height, width))(keys)
    draws = draws._replace(ratio=jnp.ones_like(draws.ratio))
    return make_blend_mask(batch, draws)[..., None]


def paste(below: ClipF32, above: ClipF32, mask: Float[Array, "B T H W 1"]) -> ClipF32:
    """Returns `below` with `above` in the mask."""
    return below + mask * (above - below)


def match_colours(clip: ClipF32, wanted: ClipF32, mask: Float[Array, "B T H W 1"]) -> ClipF32:
    """Returns a clip whose colours in the mask have the mean and deviation of another clip."""

    def measure(values: ClipF32) -> tuple[Array, Array]:
        axes, total = (1, 2, 3), jnp.maximum(mask.sum((1, 2, 3), keepdims=True), 1e-6)
        mean = (values * mask).sum(axes, keepdims=True) / total
        variance = ((values - mean) ** 2 * mask).sum(axes, keepdims=True) / total
        return mean, jnp.sqrt(variance + 1e-6)

    (mean, deviation), (wanted_mean, wanted_deviation) = measure(clip), measure(wanted)
    return jnp.clip((clip - mean) / deviation * wanted_deviation + wanted_mean, 0, 1)


def _quantise(clip: ClipF32) -> ClipU8:
    return jnp.round(jnp.clip(clip, 0, 1) * 255).astype(jnp.uint8)


SHORTCUTS: Mapping[str, tuple[str, str]] = {
    "self-blending": ("unblended", "self_blended"),
    "blend of two real faces": ("original", "real_blended"),
    "JPEG compression": ("original", "compressed"),
    "background of a fake": ("real_background", "fake_background"),
}
"""The version that counts as real and the one that counts as fake, by what tells them apart."""
