"""One optimisation step of a detector, in reading order: forward, losses, gradients, update."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from dfjax.losses.objective import add_terms
from dfjax.losses.reduction import blank_padding, weighted_mean
from dfjax.rngs import make_rng
from dfjax.shapes import Apply, Batch, Logits, Objective, Preprocess
from dfjax.training.accumulation import Gradients, accumulate
from dfjax.training.freezing import stop_gradients
from dfjax.training.loss_memory import remember
from dfjax.training.sharding import gather, split_like
from dfjax.training.state import TrainState, keep_finite, update_average

Metrics = dict[str, Float[Array, ""]]
TrainStep = Callable[[TrainState, Batch, Key[Array, ""]], tuple[TrainState, Metrics]]
DECIDED = ("target", "mask", "method")
"""What `preprocess` may decide anew, by mixing clips for example; the loss then goes by that."""


class ClipValues(NamedTuple):
    """Values per clip of a batch, before weights.

    Attributes:
        terms: Terms of the loss by name; their sum is the loss of a clip.
        correct: 1 where the sign of the logit is right, 0 elsewhere.
    """

    terms: dict[str, Float[Array, "_"]]
    correct: Float[Array, "_"]


GradientFn = Callable[[Any, Any, Batch, Key[Array, ""], Any, Float[Array, ""]], Gradients]
"""`(params, batch_stats, batch, root_rng, step, total) -> Gradients`."""


def make_gradient_fn(
    apply: Apply, preprocess: Preprocess, objective: Objective, *, freeze: Sequence[str] = ()
) -> GradientFn:
    """Returns `compute_gradients(params, batch_stats, batch, root_rng, step, total)`.

    The loss is the sum over clips weighted by `batch["weight"]`, divided by `total`: the sum of the
    weights of the whole batch, of which `batch` may be a part. `step` numbers the random keys.

    Args:
        apply: Forward pass of the model.
        preprocess: Function from a batch to the inputs of the model.
        objective: Loss terms of each clip.
        freeze: Patterns of the paths of parameters that get no gradient.
    """

    def compute_gradients(
        params: Any, batch_stats: Any, batch: Batch, root_rng: Key[Array, ""], step: Any, total: Any
    ) -> Gradients:
        inputs = preprocess(batch, make_rng(root_rng, "preprocess", step), train=True)
        batch = {**batch, **{key: inputs[key] for key in DECIDED if key in inputs}}
        weight = batch["weight"]
        rngs = {"dropout": make_rng(root_rng, "dropout", step)}

        def compute_loss(params: Any) -> tuple[Float[Array, ""], tuple[Any, ClipValues]]:
            # Forward
            variables = {"params": stop_gradients(params, freeze), "batch_stats": batch_stats}
            logits, outputs, new_stats = apply(
                variables, blank_padding(inputs, weight), train=True, rngs=rngs
            )
            # Losses
            logits, outputs = blank_padding((logits, outputs), weight)
            terms = objective(logits, outputs, batch)
            loss = weighted_mean(add_terms(terms), weight, total)
            return loss, (new_stats, ClipValues(terms, _find_correct(logits, batch)))

        # Gradients
        (loss, (new_stats, clips)), grads = jax.value_and_grad(compute_loss, has_aux=True)(params)
        return Gradients(loss, grads, new_stats, clips)

    return compute_gradients


def make_train_step(
    compute_gradients: GradientFn,
    tx: optax.GradientTransformation,
    *,
    parts: int = 1,
    together: int = 1,
    shardings: Any = None,
    ema_decay: float = 0.0,
    clip_norm: float = 0.0,
) -> TrainStep:
    """Returns the pure `train_step(state, batch, root_rng) -> state, metrics`.

    A step whose loss or gradient is not finite, or whose clips all have weight 0, leaves everything
    but `step` as it was and is counted in `state.skipped`.

    Args:
        compute_gradients: Gradients of a batch or of a part of one, from `make_gradient_fn`.
        tx: Gradient transformation.
        parts: Number of parts in which the batch goes through the model.
        together: Number of neighbouring clips that stay in one part; see `accumulate`.
        shardings: Sharding of each parameter; None on one device.
        ema_decay: Decay of the averaged parameters, where the state has them.
        clip_norm: Norm at which `tx` clips gradients, so that clipped steps are counted; 0: never.
    """

    def train_step(
        state: TrainState, batch: Batch, root_rng: Key[Array, ""]
    ) -> tuple[TrainState, Metrics]:
        # Forward, losses, gradients: on whole parameters, one part of the batch after the other
        total = jnp.sum(batch["weight"])
        loss, grads, batch_stats, clips = accumulate(
            lambda params, stats, part, number: compute_gradients(
                params, stats, part, root_rng, state.step * parts + number, total
            ),
            gather(state.params, shardings), state.batch_stats, batch,
            parts=parts, together=together,
        )  # fmt: skip
        grads = split_like(grads, shardings)
        # Update
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        updates = jax.tree.map(lambda u: u * state.lr_scale, updates)
        params = optax.apply_updates(state.params, updates)
        new = state.replace(
            params=params,
            batch_stats=batch_stats,
            opt_state=opt_state,
            ema=update_average(state.ema, params, state.step, ema_decay),
            memory=remember(state.memory, batch, add_terms(clips.terms)),
        )
        metrics = _measure(loss, clips, batch, {"grad": grads, "param": params, "update": updates})
        finite = jnp.isfinite(loss) & jnp.isfinite(metrics["grad_norm"]) & (total > 0)
        metrics["clipped"] = (metrics["grad_norm"] > (clip_norm or jnp.inf)).astype(jnp.float32)
        metrics["skipped"] = 1.0 - finite.astype(jnp.float32)
        return keep_finite(new, state, finite), metrics

    return train_step


def _measure(
    loss: Float[Array, ""], clips: ClipValues, batch: Batch, trees: Mapping[str, Any]
) -> Metrics:
    """The loss, its terms, the accuracy, and the norm of each tree over all parameters."""
    metrics = {"loss": loss}
    for name, values in clips.terms.items():
        metrics[f"loss_{name}"] = weighted_mean(values, batch["weight"])
    metrics["accuracy"] = weighted_mean(clips.correct, batch["weight"])
    return metrics | {f"{name}_norm": optax.tree.norm(tree) for name, tree in trees.items()}


def _find_correct(logits: Logits, batch: Batch) -> Float[Array, "_"]:
    """1 for every clip of which the sign of the logit is right: a positive logit says fake."""
    fake = batch.get("target", batch["label"]) > 0.5
    return ((logits > 0) == fake).astype(jnp.float32)
