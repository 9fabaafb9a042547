"""One optimisation step of a detector: forward, loss, gradients, update, in reading order."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from dfjax.rngs import make_rng
from dfjax.shapes import Batch, Inputs, Logits
from dfjax.training.state import TrainState

Metrics = dict[str, Float[Array, ""]]
TrainStep = Callable[[TrainState, Batch, Key[Array, ""]], tuple[TrainState, Metrics]]


def make_train_step(
    apply: Callable[..., tuple[Logits, dict[str, Any], Any]],
    preprocess: Callable[..., Inputs],
    loss: Callable[[Logits, Batch], Float[Array, "B"]],
    tx: optax.GradientTransformation,
) -> TrainStep:
    """Returns the pure `train_step(state, batch, root_rng) -> state, metrics`.

    The loss is the mean over clips weighted by `batch["weight"]`. A step whose loss or gradient is
    not finite leaves parameters, statistics and optimiser as they were and is counted in
    `state.skipped`. `metrics` are `loss`, `grad_norm` and `skipped` (0 or 1).
    """

    def train_step(
        state: TrainState, batch: Batch, root_rng: Key[Array, ""]
    ) -> tuple[TrainState, Metrics]:
        inputs = preprocess(batch, make_rng(root_rng, "preprocess", state.step), train=True)
        rngs = {name: make_rng(root_rng, name, state.step) for name in ("dropout", "drop_path")}

        def loss_fn(params: Any) -> tuple[Float[Array, ""], Any]:
            variables = {"params": params, "batch_stats": state.batch_stats}
            logits, _, batch_stats = apply(variables, inputs, train=True, rngs=rngs)
            weight = batch["weight"]
            return jnp.sum(loss(logits, batch) * weight) / jnp.sum(weight), batch_stats

        (value, batch_stats), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
        grad_norm = optax.tree.norm(grads)
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        new = replace(
            state,
            params=optax.apply_updates(state.params, updates),
            batch_stats=batch_stats,
            opt_state=opt_state,
            skipped=jnp.zeros_like(state.skipped),
        )
        finite = jnp.isfinite(value) & jnp.isfinite(grad_norm)
        kept = replace(state, skipped=state.skipped + 1)
        new = jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, kept)
        metrics = {
            "loss": value,
            "grad_norm": grad_norm,
            "skipped": 1.0 - finite.astype(jnp.float32),
        }
        return replace(new, step=state.step + 1), metrics

    return train_step
