# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: -all
#     formats: ipynb,py:percent
#     notebook_metadata_filter: kernelspec,jupytext
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # dfjax: your own detector
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/dfjax/dfjax/blob/main/colabs/your_own_detector.ipynb)
#
# A detector is a Linen module that reads normalised frames and returns one logit per clip. This notebook trains one
# that is written in the notebook, with its own loss, and compares it with a detector of the package. Data, training,
# resuming, evaluation and prediction are the same as for all detectors.
#
# If Colab asks you to restart the session after the installation, do so and run the cells again.

# %%
# @title Install dfjax for the accelerator of this runtime
import importlib.util
import subprocess
import sys
from pathlib import Path

if importlib.util.find_spec("dfjax") is None:
    tpu = [*Path("/dev").glob("accel[0-9]*"), *Path("/dev/vfio").glob("[0-9]*")]
    gpu = Path("/proc/driver/nvidia/version").exists()
    extras = ["tpu"] if tpu else ["cuda12"] if gpu else []
    package = f"dfjax[{','.join(extras)}]==0.1.0"
    command = [sys.executable, "-m", "pip", "install", "--quiet", package]
    subprocess.run(command, check=True)

# %%
import flax.linen as nn
import jax.numpy as jnp
import optax

import dfjax

size = "smoke"  # @param ["smoke", "tiny"]
videos, identities = {"smoke": (32, 12), "tiny": (2000, 200)}[size]
made = dfjax.synthesise(
    f"work/{size}", videos=videos, identities=identities, samples=2, packed=True
)

# %% [markdown]
# ## The module
# `inputs["rgb"]` is float32 `[B, T, H, W, 3]`, normalised; `inputs["mask"]` is bool `[B, T]`, False for padding. The
# logits `[B]` are positive for fakes. The fields of the module are recorded in the config of the run.


# %%
class FrameDifference(nn.Module):
    """Convolutions on the differences of consecutive frames, since these fakes show in motion."""

    width: int = 16

    @nn.compact
    def __call__(self, inputs, *, train):
        frames = inputs["rgb"]
        x = jnp.abs(frames[:, 1:] - frames[:, :-1])
        for level in range(3):
            x = nn.relu(nn.Conv(self.width * 2**level, (3, 3), strides=2)(x))
        return nn.Dense(1)(x.mean(axis=(1, 2, 3)))[:, 0]


def squared_loss(logits, outputs, batch):
    return optax.squared_error(jnp.tanh(logits), 2.0 * batch["label"] - 1.0)  # one value per clip


# %% [markdown]
# ## Training
# A config supplies everything else: clips, optimiser, schedule, checkpoints.

# %%
config = dfjax.load_config(f"resnet18_bilstm:{size}", {"data.path": made.pack})
run = dfjax.train(config, f"runs/own_{size}", model=FrameDifference(), loss=squared_loss)
run.plot()

# %% [markdown]
# ## Evaluation and comparison
# Meso4 sees single frames. The comparison pairs the videos of both detectors and gives the difference of their AUC
# with an interval.

# %%
own = dfjax.evaluate(run.workdir)
own

# %%
other = dfjax.train(
    dfjax.load_config(f"meso4:{size}", {"data.path": made.pack}), f"runs/meso4_{size}"
)
dfjax.compare(own, dfjax.evaluate(other.workdir))

# %% [markdown]
# ## A verdict
# A file or another notebook that loads this run has to define the module first: nothing that a workdir names is
# imported from it.

# %%
detector = dfjax.load(run.workdir)
detector(made.samples[-1]).show()
