"""Optimisers as Optax chains, with rules for parameters selected by path.

The path of a parameter is its keys joined by slashes (`hq/stage1/block0/conv/kernel`); a pattern is
a regular expression that is searched in the path.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from dfjax.errors import UsageError, unknown
from dfjax.models.entry import ADAPTERS
from dfjax.schema import OPTIMIZER

RULES: dict[str, Callable[..., optax.GradientTransformation]] = {
    "adam": lambda b1, b2, eps, momentum: optax.scale_by_adam(b1, b2, eps),
    "adamw": lambda b1, b2, eps, momentum: optax.scale_by_adam(b1, b2, eps),
    "sgd": lambda b1, b2, eps, momentum: optax.trace(momentum) if momentum else optax.identity(),
}
TRAINED, FROZEN = "trained", "frozen"


def make_tx(
    name: str,
    schedule: optax.Schedule,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    no_decay: Sequence[str] = (),
    clip_norm: float = 0.0,
    freeze: Sequence[str] = (),
    multipliers: Sequence[tuple[str, float]] = (),
) -> optax.GradientTransformation:
    """Returns clipping by global norm → update rule → weight decay → multipliers → learning rate.

    With `adam` and `sgd` weight decay comes before the update rule. The state of the transformation
    is a dict with the names of these parts. Frozen parameters have no state and do not count in the
    norm.

    Args:
        name: Update rule: `adam` (L2 weight decay, added to the gradient: Kingma and Ba 2015),
            `adamw` (decoupled weight decay: Loshchilov and Hutter 2019) or `sgd` (momentum, L2).
        schedule: Learning-rate schedule, a function of the step.
        b1: Decay of Adam's first moment.
        b2: Decay of Adam's second moment.
        eps: Constant that Adam adds to the root of the second moment.
        momentum: Momentum of SGD; 0 for none.
        weight_decay: Coefficient of weight decay; 0 for none.
        no_decay: Patterns of parameters without weight decay.
        clip_norm: Largest global norm of the gradient; 0 for no clipping.
        freeze: Patterns of parameters that are not updated (see `match_frozen`).
        multipliers: Pairs (pattern, factor of the learning rate); the first match applies.

    Raises:
        UsageError: The name is unknown. A pattern that matches no parameter raises it too, when
            the state is initialised.
    """
    if name not in RULES:
        raise unknown("optimizer", name, RULES)
    rule = ("rule", RULES[name](b1, b2, eps, momentum))
    decay = ("weight_decay", _decay(weight_decay, no_decay))
    tx = optax.named_chain(
        ("clip", optax.clip_by_global_norm(clip_norm) if clip_norm else optax.identity()),
        *((rule, decay) if name == "adamw" else (decay, rule)),
        ("multipliers", _scale_by_path(multipliers)),
        ("learning_rate", optax.scale_by_learning_rate(schedule)),
    )
    if not freeze:
        return tx
    return optax.partition(
        {TRAINED: tx, FROZEN: optax.set_to_zero()},
        lambda params: jax.tree.map(
            lambda frozen: FROZEN if frozen else TRAINED, match_frozen(params, freeze)
        ),
    )


def match_frozen(params: Any, patterns: Sequence[str]) -> Any:
    """Returns a tree of bools: whether a parameter is frozen.

    The paths of adapters contain those of their kernels. They are frozen only by patterns that
    contain the name of their part, `adapters`.

    Args:
        params: Parameters of a model.
        patterns: Regular expressions that are searched in the paths, `optimizer.freeze`.

    Raises:
        UsageError: A pattern freezes nothing, or is not a regular expression.
    """
    base = {key: tree for key, tree in params.items() if key != ADAPTERS}
    found = dict(match_paths(base, [p for p in patterns if ADAPTERS not in p]))
    if ADAPTERS in params:
        found[ADAPTERS] = jax.tree.map(lambda leaf: False, params[ADAPTERS])
    named = match_paths(params, [pattern for pattern in patterns if ADAPTERS in pattern])
    return jax.tree.map(lambda a, b: a or b, {key: found[key] for key in params}, named)


def match_paths(tree: Any, patterns: Sequence[str], *, optional: Sequence[str] = ()) -> Any:
    """Returns a tree of bools: whether the path of a leaf matches one of the patterns.

    Args:
        tree: Tree of parameters.
        patterns: Regular expressions that are searched in the paths.
        optional: Patterns that may match nothing, such as defaults.

    Raises:
        UsageError: A pattern that is not optional matches no path, or is not a regular expression.
    """
    used: set[str] = set()

    def match(path: tuple[Any, ...], leaf: Any) -> bool:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        hits = [pattern for pattern in patterns if _search(pattern, name)]
        used.update(hits)
        return bool(hits)

    found = jax.tree_util.tree_map_with_path(match, tree)
    for pattern in patterns:
        if pattern not in used and pattern not in optional:
            raise UsageError(f"optimizer: the pattern {pattern!r} matches no parameter")
    return found


def _search(pattern: str, name: str) -> bool:
    try:
        return bool(re.search(pattern, name))
    except re.error as error:
        raise UsageError(f"optimizer: {pattern!r} is not a regular expression: {error}") from None


def _decay(rate: float, no_decay: Sequence[str]) -> optax.GradientTransformation:
    def mask(params: Any) -> Any:
        excluded = match_paths(params, no_decay, optional=OPTIMIZER["no_decay"])
        return jax.tree.map(lambda found: not found, excluded)

    if rate:
        return optax.add_decayed_weights(rate, mask=mask)
    # Without decay the patterns are still checked.
    return optax.GradientTransformation(
        lambda params: (mask(params), optax.EmptyState())[1], optax.identity().update
    )


def _scale_by_path(multipliers: Sequence[tuple[str, float]]) -> optax.GradientTransformation:
    if not multipliers:
        return optax.identity()

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        trees = [match_paths(updates, [pattern]) for pattern, _ in multipliers]
        factors = [factor for _, factor in multipliers]

        def scale(leaf: jax.Array, *hits: bool) -> jax.Array:
            factor = next((f for f, hit in zip(factors, hits) if hit), 1.0)
            return leaf * jnp.asarray(factor, leaf.dtype)

        return jax.tree.map(scale, updates, *trees), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)
