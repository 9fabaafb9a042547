"""The training state: everything that one step reads and writes."""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key

from dfjax.rngs import make_rng
from dfjax.shapes import Batch, Init, Inputs, Preprocess, Variables
from dfjax.training.loss_memory import init_memory

Metrics = dict[str, Float[Array, ""]]


class TrainState(flax.struct.PyTreeNode):
    """State of a training run; trees have string keys.

    The leaves are arrays, or shapes or shardings where only these are needed.

    Attributes:
        step: i32[], number of batches consumed.
        params: Trained parameters.
        batch_stats: Moving averages of BatchNorm.
        opt_state: State of the gradient transformation.
        ema: Exponential moving average of `params`; an empty dict where averaging is off.
        lr_scale: f32[], factor of the learning rate, which reduce-on-plateau lowers from 1.
        skipped: i32[], number of steps in a row that were skipped because they were not finite.
        memory: Losses of the videos (see `loss_memory`); an empty dict where they are not kept.
        adversary: `params`, `batch_stats` and `opt_state` of the discriminator, where the other
            fields are those of a generator; an empty dict for detectors.
    """

    step: Any
    params: Any
    batch_stats: Any
    opt_state: optax.OptState
    ema: Any
    lr_scale: Any
    skipped: Any
    memory: Any
    adversary: Any = flax.struct.field(default_factory=dict)

    @property
    def variables(self) -> Variables:
        """Variables for evaluation and export, with the averaged parameters if averaging is on."""
        return {"params": self.ema or self.params, "batch_stats": self.batch_stats}

    def to_items(self) -> dict[str, Any]:
        """Returns the two items of a checkpoint, of which `variables` can be read alone."""
        training = {
            "step": self.step,
            "opt_state": self.opt_state,
            "lr_scale": self.lr_scale,
            "skipped": self.skipped,
        }
        if self.ema:
            training["params"] = self.params
        if self.memory:
            training["memory"] = self.memory
        if self.adversary:
            training["adversary"] = self.adversary
        return {"variables": self.variables, "training": training}

    @classmethod
    def from_items(cls, items: dict[str, Any]) -> "TrainState":
        """Returns the state whose `to_items` returned `items`."""
        variables, training = items["variables"], dict(items["training"])
        averaged = "params" in training
        return cls(
            params=training.pop("params", variables["params"]),
            batch_stats=variables["batch_stats"],
            ema=variables["params"] if averaged else {},
            memory=training.pop("memory", {}),
            adversary=training.pop("adversary", {}),
            **training,
        )


TrainStep = Callable[[TrainState, Batch, Key[Array, ""]], tuple[TrainState, Metrics]]
"""`train_step(state, batch, root_rng) -> state, metrics`, pure."""

Validate = Callable[[Variables, Callable[[], None]], dict[str, float]]
"""`validate(variables, check) -> metrics`; it calls `check()`, which may raise, between batches."""


def make_init_state(
    init: Init,
    preprocess: Preprocess,
    tx: optax.GradientTransformation,
    *,
    ema: bool = False,
    videos: int = 0,
    adversary: Callable[[Key[Array, ""], Inputs], dict[str, Any]] | None = None,
) -> Callable[[Key[Array, ""], Any], TrainState]:
    """Returns the pure function `init_state(root_rng, batch) -> TrainState`.

    Args:
        init: Function that initialises the variables of the model.
        preprocess: Function that turns a batch into the inputs of the model.
        tx: Gradient transformation.
        ema: Whether an exponential moving average of the parameters is kept.
        videos: Number of videos whose losses are kept; 0 for none.
        adversary: Function that initialises the discriminator of a generator.
    """

    def init_state(root_rng: Key[Array, ""], batch: Any) -> TrainState:
        inputs = preprocess(batch, None, train=False)
        variables = init(make_rng(root_rng, "init", 0), inputs)
        params = variables["params"]
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            batch_stats=variables["batch_stats"],
            opt_state=tx.init(params),
            ema=jax.tree.map(jnp.copy, params) if ema else {},
            lr_scale=jnp.ones((), jnp.float32),
            skipped=jnp.zeros((), jnp.int32),
            memory=init_memory(videos),
            adversary=adversary(make_rng(root_rng, "adversary", 0), inputs) if adversary else {},
        )

    return init_state


def keep_finite(new: TrainState, old: TrainState, finite: Bool[Array, ""]) -> TrainState:
    """Returns `new`, or where the step was not finite `old` with one more in `skipped`.

    Either way the batch counts as consumed: `step` goes up by one.

    Args:
        new: State after the update.
        old: State before it.
        finite: Whether loss and gradient are finite.
    """
    new = new.replace(skipped=jnp.zeros_like(old.skipped))
    kept = old.replace(skipped=old.skipped + 1)
    state = jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, kept)
    return state.replace(step=old.step + 1)


def update_average(ema: Any, params: Any, step: Int[Array, ""], decay: float) -> Any:
    """Returns the exponential moving average of the parameters after a step.

    Args:
        ema: Average before the step; an empty tree, where averaging is off, stays empty.
        params: Parameters after the step.
        step: Number of the step, from 0.
        decay: Decay of the average. At step t it is at most (1 + t) / (10 + t), so that the initial
            parameters are forgotten quickly.
    """
    if not ema:
        return ema
    d = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    # In this form the mean of a frozen parameter stays bitwise equal to it.
    return jax.tree.map(lambda mean, new: mean + (1.0 - d) * (new - mean), ema, params)


def count(tree: Any) -> int | Int[Array, ""]:
    """Returns the number of scalars in a tree of arrays or shapes."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))
