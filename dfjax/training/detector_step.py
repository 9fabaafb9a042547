"""One optimisation step of a detector: forward, loss, gradients, update, in reading order."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from dfjax.rngs import make_rng
from dfjax.shapes import Batch, Inputs, Logits, Outputs
from dfjax.training.loss_memory import remember
from dfjax.training.state import TrainState

Metrics = dict[str, Float[Array, ""]]
TrainStep = Callable[[TrainState, Batch, Key[Array, ""]], tuple[TrainState, Metrics]]
DECIDED = ("target", "mask", "method")
"""What `preprocess` may decide anew, by mixing clips for example; the loss then goes by that."""


class Gradients(NamedTuple):
    """What a batch gives.

    Attributes:
        loss: f32[], the weighted mean.
        grads: of `loss`, like the parameters.
        batch_stats: after the batch.
        clips: f32[B] each, before weights: `loss`, and `correct`, 1 where the sign is right.
    """

    loss: Float[Array, ""]
    grads: Any
    batch_stats: Any
    clips: dict[str, Float[Array, "B"]]


GradientFn = Callable[[TrainState, Batch, Key[Array, ""]], Gradients]


def make_gradient_fn(
    apply: Callable[..., tuple[Logits, dict[str, Any], Any]],
    preprocess: Callable[..., Inputs],
    loss: Callable[[Logits, Outputs, Batch], Float[Array, "B"]],
) -> GradientFn:
    """Returns `(state, batch, root_rng) -> Gradients` of one whole batch.

    The loss is the mean over clips weighted by `batch["weight"]`; `batch["total"]`, where given,
    is the sum of weights to divide by, for a batch that is part of a larger one.
    """

    def gradients(state: TrainState, batch: Batch, root_rng: Key[Array, ""]) -> Gradients:
        inputs = preprocess(batch, make_rng(root_rng, "preprocess", state.step), train=True)
        seen = {**batch, **{key: inputs[key] for key in DECIDED if key in inputs}}
        rngs = {"dropout": make_rng(root_rng, "dropout", state.step)}
        total = batch.get("total", jnp.sum(batch["weight"]))

        def loss_fn(params: Any) -> tuple[Float[Array, ""], Any]:
            variables = {"params": params, "batch_stats": state.batch_stats}
            logits, outputs, batch_stats = apply(variables, inputs, train=True, rngs=rngs)
            values = loss(logits, outputs, seen)
            clips = {"loss": values, "correct": _correct(logits, seen)}
            return jnp.sum(values * batch["weight"]) / total, (batch_stats, clips)

        (value, aux), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
        return Gradients(value, grads, *aux)

    return gradients


def _correct(logits: Logits, batch: Batch) -> Float[Array, "B"]:
    fake = batch.get("target", batch["label"]) > 0.5
    return ((logits > 0) == fake).astype(jnp.float32)


def accumulated(gradients: GradientFn, parts: int, *, together: int = 1) -> GradientFn:
    """Returns `gradients` computed in equal `parts` of the batch, one after the other.

    Loss and gradients add up to those of the whole batch; BatchNorm sees the parts. Parts are
    strided, so that every device keeps the clips it has.

    Args:
        gradients: of a batch.
        parts: how many.
        together: neighbours that stay in one part. In batches that alternate real and fake it has
            to be 2, or a part would be of one class, which BatchNorm would give away.
    """
    if parts == 1:
        return gradients

    def summed(state: TrainState, batch: Batch, root_rng: Key[Array, ""]) -> Gradients:
        total = jnp.sum(batch["weight"])
        split = {k: v.reshape(-1, parts, together, *v.shape[1:]) for k, v in batch.items()}

        def add(carry: Any, number: Any) -> tuple[Any, Any]:
            batch_stats, sums = carry
            part = {k: v[:, number].reshape(-1, *v.shape[3:]) for k, v in split.items()}
            part["total"] = total
            here = state.replace(step=state.step * parts + number, batch_stats=batch_stats)
            value, grads, batch_stats, clips = gradients(here, part, root_rng)
            clips = {k: v.reshape(-1, together) for k, v in clips.items()}
            return (batch_stats, jax.tree.map(jnp.add, sums, (value, grads))), clips

        zero = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, state.params))
        (batch_stats, (value, grads)), clips = jax.lax.scan(
            add, (state.batch_stats, zero), jnp.arange(parts)
        )
        clips = {k: v.swapaxes(0, 1).reshape(-1) for k, v in clips.items()}  # the batch's order
        return Gradients(value, grads, batch_stats, clips)

    return summed


def make_train_step(
    gradients: GradientFn,
    tx: optax.GradientTransformation,
    *,
    ema_decay: float = 0.0,
    clip_norm: float = 0.0,
) -> TrainStep:
    """Returns the pure `train_step(state, batch, root_rng) -> state, metrics`.

    A step whose loss or gradient is not finite leaves everything but `step` as it was and is
    counted in `state.skipped`. `metrics` are `loss`, `accuracy`, `grad_norm`, `clipped` and
    `skipped` (0 or 1).

    Args:
        gradients: of the batch.
        tx: gradient transformation.
        ema_decay: of the averaged parameters, where the state has them; the decay of step t is at
            most (1 + t) / (10 + t), so that the average is not held back by the first values.
        clip_norm: only to count: a gradient of a larger norm is reported as clipped.
    """

    def train_step(
        state: TrainState, batch: Batch, root_rng: Key[Array, ""]
    ) -> tuple[TrainState, Metrics]:
        value, grads, batch_stats, clips = gradients(state, batch, root_rng)
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        updates = jax.tree.map(lambda u: u * state.lr_scale, updates)
        params = optax.apply_updates(state.params, updates)
        new = state.replace(
            params=params,
            batch_stats=batch_stats,
            opt_state=opt_state,
            ema=_average(state.ema, params, state.step, ema_decay),
            skipped=jnp.zeros_like(state.skipped),
            memory=remember(state.memory, batch, clips["loss"]),
        )
        grad_norm = optax.tree.norm(grads)
        finite = jnp.isfinite(value) & jnp.isfinite(grad_norm)
        kept = state.replace(skipped=state.skipped + 1)
        new = jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, kept)
        metrics = {
            "loss": value,
            "accuracy": jnp.sum(clips["correct"] * batch["weight"]) / jnp.sum(batch["weight"]),
            "grad_norm": grad_norm,
            "clipped": (grad_norm > (clip_norm or jnp.inf)).astype(jnp.float32),
            "skipped": 1.0 - finite.astype(jnp.float32),
        }
        return new.replace(step=state.step + 1), metrics

    return train_step


def _average(ema: Any, params: Any, step: Any, decay: float) -> Any:
    """The moving average after this step; an empty tree, where it is off, stays empty."""
    if not ema:
        return ema
    d = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    # In this form the mean of a frozen parameter keeps its bits.
    return jax.tree.map(lambda mean, new: mean + (1.0 - d) * (new - mean), ema, params)
