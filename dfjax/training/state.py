"""The training state: everything that one step reads and writes."""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, Key

from dfjax.rngs import make_rng
from dfjax.shapes import Inputs, Variables


@flax.struct.dataclass
class TrainState:
    """`step` counts batches consumed; `skipped` those of them that were not finite, in a row.

    The leaves are arrays, and for planning also shapes or shardings: `step` and `skipped` are i32,
    the others plain trees with string keys.
    """

    step: Any
    params: Any
    batch_stats: Any
    opt_state: optax.OptState
    skipped: Any

    @property
    def variables(self) -> Variables:
        """What the model's `apply` takes."""
        return {"params": self.params, "batch_stats": self.batch_stats}

    def to_items(self) -> dict[str, Any]:
        """Returns the parts a checkpoint stores apart, so that weights can be read alone."""
        training = {"step": self.step, "opt_state": self.opt_state, "skipped": self.skipped}
        return {"variables": self.variables, "training": training}

    @classmethod
    def from_items(cls, items: dict[str, Any]) -> "TrainState":
        """Returns the state that `to_items` took apart."""
        return cls(**items["variables"], **items["training"])


def make_init_state(
    init: Callable[[Key[Array, ""], Inputs], Variables],
    preprocess: Callable[..., Inputs],
    tx: optax.GradientTransformation,
) -> Callable[[Key[Array, ""], Any], TrainState]:
    """Returns `init_state(root_rng, batch)`, pure, to be jitted with the state's shardings."""

    def init_state(root_rng: Key[Array, ""], batch: Any) -> TrainState:
        variables = init(make_rng(root_rng, "init", 0), preprocess(batch, None, train=False))
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=variables["params"],
            batch_stats=variables["batch_stats"],
            opt_state=tx.init(variables["params"]),
            skipped=jnp.zeros((), jnp.int32),
        )

    return init_state


def count(tree: Any) -> int | Int[Array, ""]:
    """Returns the number of scalars in a tree of arrays or shapes."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))
