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
from dfjax.training.state import Metrics, TrainState, TrainStep, keep_finite, update_average

REPLACED = ("target", "mask", "method", "region", "region_known")
"""Entries of the batch that `preprocess` may add or replace, for example by mixing clips."""


SHORTEST = 1e-12
"""Smallest norm that a gradient is divided by."""


class ClipValues(NamedTuple):
    """Unweighted values of each clip of a batch.

    Attributes:
        terms: Terms of the loss by name; their sum is the loss of a clip.
        correct: 1 where the sign of the logit agrees with the label, 0 elsewhere.
    """

    terms: dict[str, Float[Array, "_"]]
    correct: Float[Array, "_"]


GradientFn = Callable[[Any, Any, Batch, Key[Array, ""], Any, Float[Array, ""]], Gradients]
"""`(params, batch_stats, batch, root_rng, step, total) -> Gradients`."""


def make_gradient_fn(
    apply: Apply, preprocess: Preprocess, objective: Objective, *, freeze: Sequence[str] = ()
) -> GradientFn:
    """Returns `compute_gradients(params, batch_stats, batch, root_rng, step, total)`.

    The loss is the sum over clips weighted by `batch["weight"]`, divided by `total`, the sum of the
    weights of the whole batch, of which `batch` may be a part. Random keys are derived from
    `root_rng` and `step`.

    Args:
        apply: Forward pass of the model.
        preprocess: Function that turns a batch into the inputs of the model.
        objective: Function that returns the loss terms of each clip.
        freeze: Regular expressions; parameters whose paths match one get no gradient.
    """

    def compute_gradients(
        params: Any, batch_stats: Any, batch: Batch, root_rng: Key[Array, ""], step: Any, total: Any
    ) -> Gradients:
        inputs = preprocess(batch, make_rng(root_rng, "preprocess", step), train=True)
        batch = {**batch, **{key: inputs[key] for key in REPLACED if key in inputs}}
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
    sam_radius: float = 0.0,
) -> TrainStep:
    """Returns the pure `train_step(state, batch, root_rng) -> state, metrics`.

    A step whose loss or gradient is not finite, or whose clips all have weight 0, changes only
    `state.step` and `state.skipped`, the number of such steps in a row.

    Args:
        compute_gradients: Function that returns the gradients of a batch or of a part of one, from
            `make_gradient_fn`.
        tx: Gradient transformation.
        parts: Number of parts that the batch is divided into (gradient accumulation).
        together: Number of neighbouring clips that stay in one part; see `accumulate`.
        shardings: Sharding of each parameter; None on one device.
        ema_decay: Decay of the averaged parameters, where the state has them.
        clip_norm: Largest gradient norm that `tx` does not clip; only used to count clipped steps.
            0 means that `tx` does not clip.
        sam_radius: Radius of sharpness-aware minimisation (Foret et al., 2021); 0 for none.
    """
    find_gradients = _make_batch_gradients(
        compute_gradients, parts, together, shardings, sam_radius=sam_radius
    )

    def train_step(
        state: TrainState, batch: Batch, root_rng: Key[Array, ""]
    ) -> tuple[TrainState, Metrics]:
        # Forward, losses, gradients: on gathered parameters, one part of the batch after the other
        loss, grads, batch_stats, clips = find_gradients(state, batch, root_rng)
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
        # The parameters before the update: a TPU then needs no further pass over each of them.
        trees = {"grad": grads, "param": state.params, "update": updates}
        metrics = _measure(loss, clips, batch, trees)
        finite = jnp.isfinite(loss) & jnp.isfinite(metrics["grad_norm"])
        finite &= jnp.sum(batch["weight"]) > 0
        metrics["clipped"] = (metrics["grad_norm"] > (clip_norm or jnp.inf)).astype(jnp.float32)
        metrics["skipped"] = 1.0 - finite.astype(jnp.float32)
        return keep_finite(new, state, finite), metrics

    return train_step


def _make_batch_gradients(
    compute_gradients: GradientFn, parts: int, together: int, shardings: Any, *, sam_radius: float
) -> Callable[[TrainState, Batch, Key[Array, ""]], Gradients]:
    """Returns `find(state, batch, root_rng)`; the arguments are those of `make_train_step`.

    With `sam_radius` the gradient is that at the parameters moved along the first gradient by this
    length, of the same batch with the same random numbers. Loss, values of clips and batch
    statistics are those of the first pass. `optax.contrib.sam` has the same updates, but keeps the
    second gradient, whose norm is measured here, to itself, and makes NaN of a gradient of 0.
    """

    def find(params: Any, state: TrainState, batch: Batch, rng: Key[Array, ""]) -> Gradients:
        total = jnp.sum(batch["weight"])
        found = accumulate(
            lambda params, stats, part, number: compute_gradients(
                params, stats, part, rng, state.step * parts + number, total
            ),
            gather(params, shardings), state.batch_stats, batch, parts=parts, together=together,
        )  # fmt: skip
        return found._replace(grads=split_like(found.grads, shardings))

    def find_both(state: TrainState, batch: Batch, root_rng: Key[Array, ""]) -> Gradients:
        first = find(state.params, state, batch, root_rng)
        if not sam_radius:
            return first
        worst = move(state.params, first.grads, sam_radius)
        return first._replace(grads=find(worst, state, batch, root_rng).grads)

    return find_both


def move(params: Any, direction: Any, length: float) -> Any:
    """Returns parameters that are moved by a length; a direction of length 0 moves nothing.

    Args:
        params: Parameters.
        direction: Tree of the same structure, of any global norm.
        length: Length of the movement in the space of all parameters.
    """
    scale = length / jnp.maximum(optax.tree.norm(direction), SHORTEST)
    return jax.tree.map(lambda p, d: p + (scale * d).astype(p.dtype), params, direction)


def _measure(
    loss: Float[Array, ""], clips: ClipValues, batch: Batch, trees: Mapping[str, Any]
) -> Metrics:
    """Returns the loss, its terms, the accuracy, and the global norm of each tree."""
    metrics = {"loss": loss}
    for name, values in clips.terms.items():
        metrics[f"loss_{name}"] = weighted_mean(values, batch["weight"])
    metrics["accuracy"] = weighted_mean(clips.correct, batch["weight"])
    return metrics | {f"{name}_norm": optax.tree.norm(tree) for name, tree in trees.items()}


def _find_correct(logits: Logits, batch: Batch) -> Float[Array, "_"]:
    """Returns 1 for every clip whose logit has the right sign (positive means fake), else 0."""
    fake = batch.get("target", batch["label"]) > 0.5
    return ((logits > 0) == fake).astype(jnp.float32)
