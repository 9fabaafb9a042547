"""A prediction step with several draws of every score: Monte-Carlo dropout and mirror images."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from dfjax.data.transforms.augment import flip_clips, flip_flow
from dfjax.evaluation.scoring.scorer import PredictStep
from dfjax.rngs import make_rng
from dfjax.shapes import Apply, Batch, Inputs, Preprocess, Variables


def make_draw_step(
    apply: Apply, preprocess: Preprocess, *, passes: int = 0, flip: bool = False, seed: int = 0
) -> PredictStep:
    """Returns `step(variables, batch) -> {"logits": f32[V, D, B]}` for V views and D draws of each.

    Pass k of Monte-Carlo dropout drops the same units for every clip, like one member of an
    ensemble, so the scores of a clip do not depend on its position in the batch or on the other
    clips. Operations before the first dropout are computed once for all passes.

    Args:
        apply: Forward pass of the model.
        preprocess: Preprocessing of the model.
        passes: Number of passes of Monte-Carlo dropout, D; 0 is one draw without dropout.
        flip: Whether the mirror image of each clip is scored too, V = 2; otherwise V = 1.
        seed: Seed of the passes.
    """

    def draw(variables: Variables, inputs: Inputs) -> Float[Array, "D B"]:
        if not passes:
            logits, _, _ = apply(variables, inputs, train=False, rngs=None)
            return logits[None].astype(jnp.float32)

        def one(clip: Inputs, key: Key[Array, ""]) -> Float[Array, ""]:
            alone = {name: value[None] for name, value in clip.items()}
            logits, _, _ = apply(variables, alone, train=False, rngs={"dropout": key})
            return logits[0].astype(jnp.float32)

        keys = jax.random.split(make_rng(jax.random.key(seed), "mc_dropout", 0), passes)
        return jax.vmap(jax.vmap(one, (0, None)), (None, 0))(inputs, keys)

    def step(variables: Variables, batch: Batch) -> dict[str, Float[Array, "V D B"]]:
        views = [batch, mirror(batch)] if flip else [batch]
        logits = [draw(variables, preprocess(view, None, train=False)) for view in views]
        return {"logits": jnp.stack(logits)}

    return step


def mirror(batch: Batch) -> dict[str, Array]:
    """Returns the batch with every clip and its flow mirrored left to right."""
    every = jnp.ones(batch["clip"].shape[0], bool)
    mirrored = {**batch, "clip": flip_clips(batch["clip"], every)}
    if "flow" in batch:
        mirrored["flow"] = flip_flow(batch["flow"], every)
    return mirrored


def has_dropout(apply: Apply, variables: Any, inputs: Any) -> bool:
    """Returns whether a model has dropout, without which all Monte-Carlo passes are the same.

    Args:
        apply: Forward pass of the model.
        variables: Parameters and batch statistics, arrays or shapes.
        inputs: Shapes of the model's inputs.
    """

    def run(variables: Any, inputs: Any, key: Array) -> Array:
        return apply(variables, inputs, train=False, rngs={"dropout": key})[0]

    # Whether the key is an argument says nothing: `nn.remat` passes it on even if it is not used.
    return "random_bits" in str(jax.make_jaxpr(run)(variables, inputs, jax.random.key(0)))
