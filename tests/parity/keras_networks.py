"""Keras networks with random weights, and what they compute with them in both modes."""

import jax
import keras
import numpy as np

from dfjax.weights.conversion import to_ours
from dfjax.weights.fit import usual_fit
from dfjax.weights.origins.keras import number_layers
from dfjax.weights.registry import ORIGINS
from dfjax.weights.safetensors_file import unflatten
from dfjax.weights.target import backbone_target


def randomise(model, seed, last=()):
    """Draws what batch normalisation and biases have, so that no scale is 1 and no mean 0.

    Args:
        model: Keras model, changed in place.
        seed: Seed of the values.
        last: Ends of the names of the last normalisations of residual branches, which are damped:
            otherwise the sums of dozens of branches reach 1e5, where a gate turns rounding into a
            jump.
    """
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        for variable in layer.weights:
            if layer.name.startswith("normalization"):
                continue
            if variable.name in ("gamma", "moving_variance"):
                damped = variable.name == "gamma" and layer.name.endswith(tuple(last))
                damping = 0.3 if damped and last else 1.0
                variable.assign(damping * rng.uniform(0.7, 1.3, variable.shape))
            elif variable.name in ("beta", "moving_mean", "bias"):
                variable.assign(rng.normal(0, 0.1, variable.shape))
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0  # both kinds: of the classifier and of the residual branches


def our_variables(model, name):
    """Returns the weights of a Keras model by the key map of its files."""
    arrays = {
        f"{layer.name}/{weight.name}": np.asarray(weight)
        for layer in model.layers
        for weight in layer.weights
        if layer.name != "predictions"
    }
    target = backbone_target(name)
    key_map = usual_fit(ORIGINS["keras"], target).key_map
    return unflatten(to_ours(number_layers(arrays), key_map, source=name))


def keras_outputs(model, images):
    """Returns outputs in both modes; the statistics of a training step are put into the model."""

    @jax.jit
    def run(trainable, rest, images):
        evaluated, _ = model.stateless_call(trainable, rest, images, training=False)
        trained, new = model.stateless_call(trainable, rest, images, training=True)
        return evaluated, trained, new

    trainable = [v.value for v in model.trainable_variables]
    rest = [v.value for v in model.non_trainable_variables]
    evaluated, trained, new = run(trainable, rest, images)
    for variable, value in zip(model.non_trainable_variables, new, strict=True):
        variable.assign(value)
    return evaluated, trained


def our_maps(module, variables, images):
    """Returns the last maps in both modes, and the statistics that a training step leaves."""

    @jax.jit
    def run(variables, images):
        evaluated = module.apply(variables, images, train=False)["top"]
        trained, new = module.apply(variables, images, train=True, mutable=["batch_stats"])
        return (evaluated, trained["top"]), new.get("batch_stats", {})

    return run(variables, images)


def assert_same_statistics(stats, model, name):
    """Checks the running statistics after a training step."""
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
        stats,
        our_variables(model, name)["batch_stats"],
    )
