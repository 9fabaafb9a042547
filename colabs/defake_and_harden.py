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
# # dfjax: restore fakes, and harden a detector
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/dfjax/dfjax/blob/main/colabs/defake_and_harden.ipynb)
#
# A generator turns fakes back towards the real videos that they were made from. It measures how easily a detector
# is deceived, and the restored fakes harden the detector. Use it only on material that you may alter, and do not
# present its output as a recording. Every output is marked.
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

# %% [markdown]
# ## Data
# `smoke` shows the steps in three minutes at most with networks that have learned little. With `tiny`, the generator of the
# demo takes minutes on a GPU.

# %%
import dfjax

size = "smoke"  # @param ["smoke", "tiny"]
videos, identities = {"smoke": (32, 12), "tiny": (2000, 200)}[size]
made = dfjax.synthesise(
    f"work/{size}", videos=videos, identities=identities, samples=2, packed=True
)

# %% [markdown]
# ## A detector, and a generator that is to deceive it
# The generator learns from pairs of a fake and its real video. The term `critic` of its loss is the detector. Here
# it restores single frames, without optical flow.

# %%
config = dfjax.load_config(f"meso4:{size}", {"data.path": made.pack})
detector = dfjax.train(config, f"runs/detector_{size}")

settings = {
    "data.path": made.pack,
    "data.frames": 1,
    "data.flow": False,
    "loss.flow_consistency.weight": 0.0,
    "loss.critic.detector": detector.workdir,
    "loss.critic.weight": 0.01,
}
generator = dfjax.train(dfjax.load_config(f"defake:{size}", settings), f"runs/generator_{size}")
generator.history[["epoch", "val_l1", "val_psnr", "val_psnr_gain"]]

# %%
from IPython.display import Image

samples = sorted(generator.workdir.glob("samples/*.png"))
Image(samples[-1])  # inputs, restored frames, targets and differences

# %% [markdown]
# ## Restoring a video
# The scores are those of the detector on the file before and after. The label in the corner and the entry in the
# metadata mark the file as restored.

# %%
fake = made.samples[-1]
restored = dfjax.defake(generator.workdir, fake, "work/restored", detector=detector.workdir)
restored

# %%
from IPython.display import Video

Video(restored.files[0].output, embed=True, width=320)

# %% [markdown]
# ## Hardening
# The fakes of the data are restored, and the detector is trained further with them as extra fakes. The table has
# the AUC on plain and on restored fakes of the test split before (round 0) and after.

# %%
hardened = dfjax.harden(
    detector.workdir, generator.workdir, {"train.epochs": 1}, workdir=f"runs/hardened_{size}"
)
hardened
