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
# # dfjax: score and explain your own videos
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/dfjax/dfjax/blob/main/colabs/bring_your_videos.ipynb)
#
# This notebook takes your videos or images, finds the faces, scores them with a detector and explains the
# scores. Nothing leaves the runtime. A score is not a proof: do not accuse anyone on the basis of a score.
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
# ## Detector
# Give a workdir, a safetensors file or a model of the Hugging Face Hub (`hf://user/name`). Left empty, a small
# detector is trained on drawn faces. It only shows the steps: **its scores say nothing about real videos**.

# %%
import dfjax

source = ""  # @param {type:"string"}
if not source:
    made = dfjax.synthesise("work/smoke", videos=32, identities=12, samples=2, packed=True)
    config = dfjax.load_config("hybrid:smoke", {"data.path": made.pack})
    source = dfjax.train(config, "runs/quickstart_smoke").workdir
detector = dfjax.load(source)

# %% [markdown]
# ## Videos
# Give the path of a file or folder, for example on a mounted Drive. Left empty, Colab asks for files to upload;
# elsewhere the drawn videos are used.

# %%
path = ""  # @param {type:"string"}
if not path and "google.colab" in sys.modules:
    from google.colab import files

    path = "uploads"
    Path(path).mkdir(exist_ok=True)
    files.upload(path)

# %%
inputs = path or [str(video) for video in Path("work/smoke/videos").glob("*.mp4")]
verdicts = dfjax.predict(detector, inputs, out="work/verdicts")
for verdict in verdicts:
    display(verdict)

# %% [markdown]
# ## Faces
# The boxes show the face that was tracked, and the curve P(fake) over time. If faces are missed, name a better face
# detector, such as `face_detector="mtcnn"` (`pip install 'dfjax[face]'`), in the call of `predict`.

# %%
scored = [verdict for verdict in verdicts if verdict.status == "ok"]
for verdict in scored[:3]:
    display(verdict.show())

# %% [markdown]
# ## Explanation
# The heat maps show where the evidence for a fake is, and the effect of a frame is how much the score changes
# without it. A map says where a detector looks, and not whether it is right.

# %%
if scored:
    display(dfjax.explain(detector, scored[0].input, out="work/explanation", maps=1))

# %% [markdown]
# ## Training on your videos
# With labelled videos in the folders `real/` and `fake/METHOD/`, three calls train a detector of your own. The
# first one lists and splits the videos, finds the faces, packs the crops and audits them:
# ```python
# data = dfjax.prepare("videos", "work/data", adapter="folder")
# config = dfjax.load_config("hybrid", {"data.path": data})
# run = dfjax.train(config, "runs/mine")
# ```
