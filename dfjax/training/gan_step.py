"""One optimisation step of a generator and its discriminator, in reading order.

Forward, once; the discriminator's losses, gradients and update; the generator's losses, judged by
the updated discriminator, gradients and update.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from dfjax.losses.adversarial import Adversarial, gradient_penalty
from dfjax.losses.generator import GeneratorObjective, Restored
from dfjax.losses.reduction import blank_padding, weighted_mean
from dfjax.losses.restoration import frame_mean
from dfjax.rngs import make_rng
from dfjax.shapes import Apply, Batch, ClipF32, Inputs, Preprocess
from dfjax.training.accumulation import Gradients, accumulate
from dfjax.training.freezing import stop_gradients
from dfjax.training.sharding import gather, split_like
from dfjax.training.state import Metrics, TrainState, keep_finite, update_average


class Forward(NamedTuple):
    """The clips that a generator returns for a batch.

    Attributes:
        inputs: `source`, `target`, `mask` and, where it is read, `flow`.
        restored: Restored clips.
        pull_back: Function from a gradient by the restored clips to that by the parameters.
        batch_stats: Statistics of the generator after the batch.
    """

    inputs: Inputs
    restored: ClipF32
    pull_back: Callable[[ClipF32], tuple[Any]]
    batch_stats: Any


class Networks(NamedTuple):
    """The functions of a step.

    Attributes:
        generate: Forward pass of the generator.
        discriminate: Forward pass of the discriminator, which returns `patch_logits`.
        preprocess: Function that turns a batch into `source`, `target`, `mask` and `flow`.
        objective: Loss of the generator.
        adversarial: Loss of the discriminator.
        r1: Factor of the gradient penalty of the discriminator on real clips; 0 for none.
        freeze: Patterns of parameters of the generator that are not trained.
    """

    generate: Apply
    discriminate: Apply
    preprocess: Preprocess
    objective: GeneratorObjective
    adversarial: Adversarial
    r1: float = 0.0
    freeze: Sequence[str] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class GanStep:
    """Pure function `train_step(state, batch, root_rng, frozen) -> state, metrics`.

    The generator runs once: the discriminator reads the restored clips as constants, and the
    generator's gradient is pulled back from them. With several parts it runs again for its
    gradient, because the discriminator is first updated for the whole batch. The update of one
    network changes nothing of the other. A step in which a loss or gradient of either is not
    finite, or whose clips all have weight 0, changes only `state.step` and `state.skipped`.

    Attributes:
        networks: Functions of the step.
        tx: Gradient transformation of the generator.
        adversary_tx: Gradient transformation of the discriminator.
        parts: Number of parts that the batch is divided into (gradient accumulation).
        shardings: Sharding of each leaf of the state; None on one device.
        ema_decay: Decay of the averaged parameters of the generator, where the state has them.
        clip_norm: Largest gradient norm that `tx` does not clip; only used to count clipped steps.
            0 means that `tx` does not clip.
    """

    networks: Networks
    tx: optax.GradientTransformation
    adversary_tx: optax.GradientTransformation
    parts: int = 1
    shardings: TrainState | None = None
    ema_decay: float = 0.0
    clip_norm: float = 0.0

    def __call__(
        self, state: TrainState, batch: Batch, root_rng: Key[Array, ""], frozen: Mapping[str, Any]
    ) -> tuple[TrainState, Metrics]:
        """Returns the state after a step, and the metrics of the step.

        Args:
            state: Training state with an adversary.
            batch: Batch with `clip` (the targets) and `source`.
            root_rng: Key that the random keys of the step are derived from.
            frozen: Variables of the fixed networks that the loss reads, by the name of their term.
        """
        total = jnp.sum(batch["weight"])
        forward = self._make_forward(state, batch, root_rng)
        adversary, judged = self._train_discriminator(state, batch, forward, total)
        new, improved, norms = self._train_generator(
            state.replace(adversary=adversary), batch, forward, frozen, total
        )
        metrics = {"loss": improved.loss}
        for name, values in improved.clips.items():
            raw = weighted_mean(values, batch["weight"])
            factor = self.networks.objective.factors[name]
            metrics |= {f"raw_{name}": raw, f"loss_{name}": factor * raw}
        metrics["loss_discriminator"] = judged.loss
        for name, values in judged.clips.items():
            metrics[name] = weighted_mean(values, batch["weight"])
        metrics |= norms | {"discriminator_grad_norm": optax.tree.norm(judged.grads)}
        checked = ("loss", "loss_discriminator", "grad_norm", "discriminator_grad_norm")
        finite = jnp.isfinite(jnp.stack([metrics[name] for name in checked])).all() & (total > 0)
        clipped = metrics["grad_norm"] > (self.clip_norm or jnp.inf)
        metrics |= {"clipped": clipped.astype(jnp.float32), "skipped": 1.0 - finite}
        return keep_finite(new, state, finite), metrics

    def _make_forward(
        self, state: TrainState, batch: Batch, root_rng: Key[Array, ""]
    ) -> Callable[[Any, Batch, Any], Forward]:
        """Returns `forward(batch_stats, part, number)`, which with one part is computed once."""
        params = gather(state.params, self.shardings and self.shardings.params)

        def forward(stats: Any, part: Batch, number: Any) -> Forward:
            step = state.step * self.parts + number
            return _run_generator(self.networks, params, stats, part, root_rng, step)

        if self.parts > 1:
            return forward
        once = forward(state.batch_stats, batch, 0)
        return lambda stats, part, number: once

    def _train_discriminator(
        self, state: TrainState, batch: Batch, forward: Callable[..., Forward], total: Array
    ) -> tuple[dict[str, Any], Gradients]:
        """Returns the discriminator after its update, and its loss and gradients."""
        before = state.adversary
        sharding = self.shardings and self.shardings.adversary["params"]

        def judge(params: Any, stats: Any, part: Batch, number: Any) -> Gradients:
            run = forward(state.batch_stats, part, number)
            weight = part["weight"]
            return _discriminator_gradients(self.networks, params, stats, run, weight, total)

        whole = gather(before["params"], sharding)
        judged = accumulate(judge, whole, before["batch_stats"], batch, parts=self.parts)
        grads = split_like(judged.grads, sharding)
        params, opt_state, _ = _update(
            self.adversary_tx, grads, before["opt_state"], before["params"], state.lr_scale
        )
        after = {"params": params, "batch_stats": judged.batch_stats, "opt_state": opt_state}
        return after, judged

    def _train_generator(
        self,
        state: TrainState,
        batch: Batch,
        forward: Callable[..., Forward],
        frozen: Mapping[str, Any],
        total: Array,
    ) -> tuple[TrainState, Gradients, Metrics]:
        """Returns the state after the generator's update, its loss and gradients, and norms."""
        shardings, adversary = self.shardings, state.adversary
        judge = {
            "params": gather(adversary["params"], shardings and shardings.adversary["params"]),
            "batch_stats": adversary["batch_stats"],
        }

        def improve(params: Any, stats: Any, part: Batch, number: Any) -> Gradients:
            run = forward(stats, part, number)
            weight = part["weight"]
            return _generator_gradients(self.networks, run, judge, frozen, weight, total)

        improved = accumulate(improve, state.params, state.batch_stats, batch, parts=self.parts)
        grads = split_like(improved.grads, shardings and shardings.params)
        params, opt_state, updates = _update(
            self.tx, grads, state.opt_state, state.params, state.lr_scale
        )
        new = state.replace(
            params=params,
            batch_stats=improved.batch_stats,
            opt_state=opt_state,
            ema=update_average(state.ema, params, state.step, self.ema_decay),
        )
        trees = {"grad": grads, "param": state.params, "update": updates}
        norms = {f"{name}_norm": optax.tree.norm(tree) for name, tree in trees.items()}
        return new, improved, norms


def _run_generator(
    networks: Networks, params: Any, stats: Any, batch: Batch, root_rng: Key[Array, ""], step: Any
) -> Forward:
    """Returns the restored clips of a batch, with the function that pulls gradients back."""
    inputs = networks.preprocess(batch, make_rng(root_rng, "preprocess", step), train=True)
    inputs = blank_padding(inputs, batch["weight"])
    rngs = {"dropout": make_rng(root_rng, "dropout", step)}

    def run(params: Any) -> tuple[ClipF32, Any]:
        variables = {"params": stop_gradients(params, networks.freeze), "batch_stats": stats}
        seen = {"rgb": inputs["source"], "mask": inputs["mask"]}
        restored, _, new_stats = networks.generate(variables, seen, train=True, rngs=rngs)
        return restored, new_stats

    restored, pull_back, new_stats = jax.vjp(run, params, has_aux=True)
    return Forward(inputs, restored, pull_back, new_stats)


def _discriminator_gradients(
    networks: Networks, params: Any, stats: Any, run: Forward, weight: Array, total: Array
) -> Gradients:
    """Returns loss and gradients of the discriminator, and its accuracy on each clip."""
    mask, target = run.inputs["mask"], run.inputs["target"]
    # Both clips as one of 2T frames, since frames are judged one by one.
    frames = jnp.concatenate([target, jax.lax.stop_gradient(run.restored)], axis=1)
    seen = {"rgb": frames, "mask": jnp.concatenate([mask, mask], axis=1)}

    def compute_loss(params: Any) -> tuple[Float[Array, ""], tuple[Any, dict[str, Array]]]:
        variables = {"params": params, "batch_stats": stats}
        _, outputs, new_stats = networks.discriminate(variables, seen, train=True, rngs={})
        real, restored = jnp.split(outputs["patch_logits"], 2, axis=1)
        losses = networks.adversarial.real(real) + networks.adversarial.restored(restored)
        values = frame_mean(losses, mask)
        right = ((real < 0).astype(jnp.float32) + (restored > 0)) / 2
        clips = {"accuracy": frame_mean(right, mask)}
        if networks.r1:
            clips["raw_r1"] = gradient_penalty(
                lambda clips: networks.discriminate(
                    variables, {"rgb": clips, "mask": mask}, train=False, rngs=None
                )[0],
                target,
            )
            values += networks.r1 * clips["raw_r1"]
        return weighted_mean(values, weight, total), (new_stats, clips)

    (loss, (new_stats, clips)), grads = jax.value_and_grad(compute_loss, has_aux=True)(params)
    return Gradients(loss, grads, new_stats, clips)


def _generator_gradients(
    networks: Networks,
    run: Forward,
    judge: Mapping[str, Any],
    frozen: Mapping[str, Any],
    weight: Array,
    total: Array,
) -> Gradients:
    """Returns loss and gradients of the generator, and the terms of each clip."""

    def compute_loss(clips: ClipF32) -> tuple[Float[Array, ""], dict[str, Array]]:
        clips = blank_padding(clips, weight)
        seen = {"rgb": clips, "mask": run.inputs["mask"]}
        _, outputs, _ = networks.discriminate(judge, seen, train=False, rngs=None)
        restored = Restored(clips, outputs["patch_logits"], run.inputs, frozen)
        terms = networks.objective.compute(restored)
        return weighted_mean(networks.objective.add(terms), weight, total), terms

    (loss, terms), gradient = jax.value_and_grad(compute_loss, has_aux=True)(run.restored)
    (grads,) = run.pull_back(gradient)
    return Gradients(loss, grads, run.batch_stats, terms)


def _update(
    tx: optax.GradientTransformation, grads: Any, opt_state: Any, params: Any, scale: Array
) -> tuple[Any, Any, Any]:
    """Returns the parameters and the optimiser's state after an update, and the update."""
    updates, opt_state = tx.update(grads, opt_state, params)
    updates = jax.tree.map(lambda u: u * scale, updates)
    return optax.apply_updates(params, updates), opt_state, updates
