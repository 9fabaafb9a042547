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
# # dfjax: quickstart
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/dfjax/dfjax/blob/main/colabs/quickstart.ipynb)
#
# This notebook draws a synthetic data set of animated faces, trains a deepfake detector on it, evaluates
# the detector on people who are not in the training data, and shows a report. It downloads no data.
#
# Choose **Runtime → Run all**. If Colab asks you to restart the session after the installation, do so and run the cells again.

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
# ## Size
# `smoke` takes about a minute and checks that every step works. Its detector is trained on too few videos to
# tell real from fake. `tiny` takes five minutes on a GPU, longer on a CPU, and gives a detector that works.

# %%
import dfjax

size = "smoke"  # @param ["smoke", "tiny"]
videos, identities = {"smoke": (32, 12), "tiny": (2000, 200)}[size]

# %% [markdown]
# ## Data
# Half of the videos are real, half are manipulated in known ways. No person is in two splits. `packed=True`
# stores the face crops in the form that training reads. Two videos of the test split are written as MP4 files too.

# %%
made = dfjax.synthesise(
    f"work/{size}", videos=videos, identities=identities, samples=2, packed=True
)
made

# %%
from IPython.display import Video

Video(made.samples[-1], embed=True, width=320)  # a fake

# %% [markdown]
# ## Training
# A config file describes an experiment. Any key can be set, such as the number of epochs; a misspelt key is an
# error. If you stop the cell, the same call resumes the run.

# %%
config = dfjax.load_config(f"hybrid:{size}", {"data.path": made.pack})
run = dfjax.train(config, f"runs/quickstart_{size}")
run.plot()

# %% [markdown]
# ## Evaluation
# The metrics have 95 % intervals, and flags say what is wrong with a result. With `smoke` they say that the
# test set is too small to conclude anything.

# %%
report = dfjax.evaluate(run.workdir, split="test")
report

# %% [markdown]
# ## A verdict on a video
# The detector finds the face, cuts it out as in training, and scores clips of the video.

# %%
detector = dfjax.load(run.workdir)
verdict = detector(made.samples[-1])
verdict.show()

# %% [markdown]
# ## The report
# One HTML page, which you can download from the folder of the run (`report.html`) and which needs no network.

# %%
dfjax.report(run.workdir)
