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
# # dfjax: train on a GPU or TPU
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/dfjax/dfjax/blob/main/colabs/train_on_accelerator.ipynb)
#
# This notebook trains on all devices that it finds, in bfloat16, measures the throughput and resumes after a
# disconnect, because the run is kept on a mounted drive. Choose **Runtime → Change runtime type** for a GPU or TPU.
# It also runs on a CPU, slowly.
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
import jax

import dfjax

jax.devices()

# %% [markdown]
# ## A folder that outlives the runtime
# In Colab the run is written to your Drive. Elsewhere it is written to the folder `drive`.

# %%
drive = Path("drive")
if "google.colab" in sys.modules:
    from google.colab import drive as colab_drive

    colab_drive.mount("/content/drive")
    drive = Path("/content/drive/MyDrive/dfjax")

# %% [markdown]
# ## Data
# The data are read often, so they belong on the disk of the runtime, not on the drive. `smoke` draws a small
# set; give the folder of a pack (`dfjax.prepare`) in `pack` for data of your own.

# %%
size = "smoke"  # @param ["smoke", "tiny"]
pack = ""  # @param {type:"string"}
videos, identities = {"smoke": (32, 12), "tiny": (2000, 200)}[size]
if not pack:
    pack = dfjax.synthesise(
        f"work/{size}", videos=videos, identities=identities, samples=2, packed=True
    ).pack

# %% [markdown]
# ## Mesh and precision
# The mesh divides a batch over the devices: the axis `data` has those that are left by `fsdp` and `tensor`, which
# also divide large parameters. Parameters and sums stay in float32; the rest is computed in bfloat16.

# %%
devices = jax.device_count()
settings = {
    "data.path": pack,
    "mesh.fsdp": 1,  # 2 or more: less memory per device
    "precision": "bfloat16",
    "train.batch_size": 8 * devices,
    "train.log_every": 1,
    "checkpoint.every_steps": 100,  # besides a checkpoint after each epoch
}
config = dfjax.load_config(f"resnet18_bilstm:{size}", settings)
config.mesh

# %% [markdown]
# ## Training, and resuming
# If the runtime is disconnected, open the notebook again and choose **Run all**. The same call finds the last
# checkpoint on the drive and goes on. A run that has finished returns at once.

# %%
run = dfjax.train(config, drive / f"run_{size}")
run

# %% [markdown]
# ## Throughput
# The first steps contain the compilation. After them, clips per second show what the machine does; `data_s` is
# the time that the step waited for data.

# %%
steps = run.log.query("split == 'train'")
axes = steps.plot(x="step", y="clips_per_s", ylabel="clips/s", ylim=(0, None), legend=False)
axes.set_title(f"{devices} x {jax.devices()[0].device_kind}, {config.precision}")
# %%
steps[["step", "loss", "clips_per_s", "step_s", "data_s"]].tail()
