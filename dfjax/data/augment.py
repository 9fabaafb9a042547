"""Random changes of whole clips, on device and inside `jit`.

Each function draws once per clip, from a key of its own per place in the batch, so that all frames
of a clip change alike and a clip does not depend on how large its batch is.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Key, Shaped


def draw_per_clip(
    rng: Key[Array, ""], probability: float, n_clips: int
) -> Bool[Array, "{n_clips}"]:
    """Returns one coin throw per clip, True with `probability`; clip i uses `fold_in(rng, i)`."""
    keys = jax.vmap(lambda i: jax.random.fold_in(rng, i))(jnp.arange(n_clips))
    return jax.vmap(lambda key: jax.random.bernoulli(key, probability))(keys)


def flip_clips(
    clip: Shaped[Array, "B T H W C"], flipped: Bool[Array, "B"]
) -> Shaped[Array, "B T H W C"]:
    """Returns the clips, those with `flipped` mirrored left to right in every frame."""
    return jnp.where(flipped[:, None, None, None, None], clip[..., ::-1, :], clip)


def flip_flow(
    flow: Shaped[Array, "B t H W 2"], flipped: Bool[Array, "B"]
) -> Shaped[Array, "B t H W 2"]:
    """Returns the flow of the clips that `flip_clips` gives: mirrored, and pointing the other way.

    What moved to the right in a picture moves to the left in its mirror image.
    """
    turned = flow[..., ::-1, :] * jnp.array([-1, 1], flow.dtype)
    return jnp.where(flipped[:, None, None, None, None], turned, flow)
