"""Reduce-on-plateau, epoch by epoch against the schedulers that it follows."""

import keras
import numpy as np
import pytest
import torch

from dfjax.training.stopping import Plateau

pytestmark = pytest.mark.parity
RATE, FACTOR, EPOCHS = 1e-3, 0.5, 120


def noisy(seed):
    """A loss that falls, in steps from far above to below the thresholds, and stalls."""
    rng = np.random.default_rng(seed)
    steps = rng.choice([0.0, 1e-5, 9e-5, 1.1e-4, 1e-2], EPOCHS) * rng.choice([-1, 1], EPOCHS)
    return 0.7 + np.cumsum(steps)


def ours(values, mode, rule, patience, floor):
    plateau = Plateau("m", mode, patience, rule=rule, factor=FACTOR, floor=floor)
    scale, rates = 1.0, []
    for epoch, value in enumerate(values, start=1):
        plateau.update(epoch, {"m": float(value)})
        scale = plateau.next_scale(scale, RATE)
        rates.append(RATE * scale)
    return rates


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("patience", [1, 3])
def test_torch(mode, patience):
    for seed in range(5):
        parameter = torch.nn.Parameter(torch.zeros(()))
        optimizer = torch.optim.SGD([parameter], lr=RATE)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, mode, factor=FACTOR, patience=patience, min_lr=1e-6
        )
        values, rates = noisy(seed), []
        for value in values:
            scheduler.step(value)
            rates.append(optimizer.param_groups[0]["lr"])
        expected = ours(values, mode, "torch", patience, 1e-6 / RATE)
        assert len(set(rates)) > 3
        np.testing.assert_allclose(expected, rates, rtol=1e-12)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("patience", [1, 3])
def test_keras(mode, patience):
    for seed in range(5):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(RATE), "mse")
        callback = keras.callbacks.ReduceLROnPlateau(
            monitor="m", mode=mode, factor=FACTOR, patience=patience, min_lr=1e-6, cooldown=0
        )
        callback.set_model(model)
        callback.on_train_begin()
        values, rates = noisy(seed), []
        for epoch, value in enumerate(values):
            callback.on_epoch_end(epoch, {"m": float(value)})
            rates.append(float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)))
        expected = ours(values, mode, "keras", patience, 1e-6 / RATE)
        assert len(set(rates)) > 3
        np.testing.assert_allclose(expected, rates, rtol=1e-6)  # Keras keeps the rate in float32
