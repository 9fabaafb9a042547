"""Batch normalisation and the activation after it, as one function with its own gradient.

The backward pass keeps the map before normalisation only, and recomputes the normalised map and
the activation, which takes less time than to write and read the maps that automatic differentiation
would keep (difference, sigmoid, …). It reads the map and the gradient twice: once for the two sums
per channel, once for the gradient of the map. `jax.checkpoint` would recompute the same, but its
barriers keep XLA from fusing that with the layers before and after.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from dfjax.ops.activations import Activation

GROUP_AXIS = "statistics"
"""Axis of a mesh whose devices have common statistics under `shard_map`."""


def batch_norm(
    x: Float[Array, "n *map c"],
    scale: Float[Array, "c"],
    bias: Float[Array, "c"],
    mask: Bool[Array, "n"] | None = None,
    *,
    epsilon: float,
    activation: Activation | None = None,
) -> tuple[Float[Array, "n *map c"], Float[Array, "c"], Float[Array, "c"], Float[Array, ""]]:
    """Returns `x` normalised by its own statistics and activated, and these statistics.

    The statistics are the mean, the biased variance and the number of values per channel, in
    float32. The one-pass variance E[x²] - E[x]² reads the map once, the two-pass variance twice.
    Under `jit`, they are those of the whole batch, however it is sharded. Under `shard_map`, where
    `x` is the part of one device, they are those of the devices along the axis `GROUP_AXIS`.

    Args:
        x: Feature maps or vectors, channels last.
        scale: Factor of the normalised map.
        bias: Value added to the scaled map.
        mask: Which samples count in the statistics, or None for all.
        epsilon: Value added to the variance.
        activation: Function applied to the result, or None.
    """
    cells = x.size // (x.shape[0] * x.shape[-1])
    if mask is None:
        weight, count = None, _sum_over_group(jnp.float32(x.shape[0] * cells))
    else:
        weight = mask.astype(jnp.float32).reshape(-1, *[1] * (x.ndim - 1))
        valid = _sum_over_group(jnp.sum(weight))
        count = jnp.maximum(valid, 1) * cells  # a batch without valid samples: 0, not NaN
    y, mean, var = _by_batch(epsilon, activation, x, scale, bias, weight, count)
    return y, mean, var, count


def normalise(
    x: Float[Array, "n *map c"],
    mean: Float[Array, "c"],
    var: Float[Array, "c"],
    scale: Float[Array, "c"],
    bias: Float[Array, "c"],
    *,
    epsilon: float,
    activation: Activation | None = None,
) -> Float[Array, "n *map c"]:
    """Returns `x` normalised by given statistics and activated, in its own dtype.

    The backward pass, where statistics are frozen in training, keeps `x` only. It recomputes by
    `jax.checkpoint`, which can also be differentiated forwards.

    Args:
        x: Feature maps or vectors, channels last.
        mean: Mean of each channel.
        var: Variance of each channel.
        scale: Factor of the normalised map.
        bias: Value added to the scaled map.
        epsilon: Value added to the variance.
        activation: Function applied to the result, or None.
    """
    apply = jax.checkpoint(functools.partial(_normalise, epsilon, activation))
    return apply(x, mean, var, scale, bias)


def _normalise(
    epsilon: float,
    activation: Activation | None,
    x: Array,
    mean: Array,
    var: Array,
    scale: Array,
    bias: Array,
) -> Array:
    y = (_widen(x) - mean) * (scale * jax.lax.rsqrt(var + epsilon)) + bias
    return (activation(y) if activation else y).astype(x.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _by_batch(
    epsilon: float,
    activation: Activation | None,
    x: Array,
    scale: Array,
    bias: Array,
    weight: Array | None,
    count: Array,
) -> tuple[Array, Array, Array]:
    """Returns the activated map, the mean and the variance."""
    wide = _widen(x)
    weighted = wide if weight is None else weight * wide
    axes = tuple(range(x.ndim - 1))
    first, second = _sum_over_group((jnp.sum(weighted, axes), jnp.sum(weighted * wide, axes)))
    mean = first / count
    var = jnp.maximum(second / count - mean * mean, 0)
    return _normalise(epsilon, activation, x, mean, var, scale, bias), mean, var


def _forward(
    epsilon: float, activation: Activation | None, *inputs: Any
) -> tuple[tuple[Array, Array, Array], tuple[Any, ...]]:
    y, mean, var = _by_batch(epsilon, activation, *inputs)
    return (y, mean, var), (*inputs, mean, var)


def _backward(
    epsilon: float,
    activation: Activation | None,
    saved: tuple[Any, ...],
    grads: tuple[Array, Array, Array],
) -> tuple[Array, Array, Array, None, None]:
    x, scale, bias, weight, count, mean, var = saved
    grad, mean_grad, var_grad = grads
    # Without this barrier, XLA's CPU backend finds the normalised map and the sigmoid to be those
    # of the forward pass, and keeps them (28 % more memory in a step of B0). A barrier on a vector
    # hinders no fusion of maps.
    mean = jax.lax.optimization_barrier(mean)
    axes = tuple(range(x.ndim - 1))
    inverse = jax.lax.rsqrt(var + epsilon)
    centred, slope = _widen(x) - mean, _widen(grad)
    if activation:
        (slope,) = jax.vjp(activation, centred * (scale * inverse) + bias)[1](slope)
    bias_grad, scale_grad = jnp.sum(slope, axes), jnp.sum(slope * centred, axes) * inverse
    # Every value that counts also shifts the mean, and the variance unless that was cut at 0, on
    # all devices of the group. The gradients of scale and bias are the parts of this device.
    mean_grad, var_grad = _sum_over_group(
        (mean_grad - scale * inverse * bias_grad, var_grad - scale * inverse**2 * scale_grad / 2)
    )
    var_grad = jnp.where(var > 0, var_grad, 0)
    shift = mean_grad / count + centred * (2 * var_grad / count)
    x_grad = slope * (scale * inverse) + (shift if weight is None else weight * shift)
    return x_grad.astype(x.dtype), scale_grad, bias_grad, None, None


_by_batch.defvjp(_forward, _backward)


def _sum_over_group(values: Any) -> Any:
    """Returns the sums over the devices with common statistics, or `values` without such a group.

    The group is an axis of the mesh of the `shard_map` that is being traced, if there is one.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if GROUP_AXIS not in mesh.manual_axes or mesh.shape[GROUP_AXIS] == 1:
        return values
    return jax.lax.psum(values, GROUP_AXIS)


def _widen(x: Array) -> Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
