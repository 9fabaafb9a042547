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
# # dfjax: take a detector to benchmarks and other programs
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/dfjax/dfjax/blob/main/colabs/export_to_benchmarks.ipynb)
#
# This notebook trains a detector that DeepfakeBench has too, writes its predictions and its parameters for other
# programs, and reads every file back to compare it with the checkpoint.
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
# ## A detector that DeepfakeBench has
# DeepfakeBench's ResNet34 has two classes, PyTorch's padding and batch normalisation, and is fed values in [-1, 1].
# The config `resnet18` with these settings is the same network. The data are **synthetic**.

# %%
import dfjax

size = "smoke"  # @param ["smoke", "tiny"]
videos, identities, epochs = {"smoke": (32, 12, 1), "tiny": (2000, 200, 5)}[size]
made = dfjax.synthesise(
    f"work/{size}", videos=videos, identities=identities, samples=2, packed=True
)
network = {
    "backbone": "resnet34", "width": 1.0, "one_block": False, "classes": 2, "hidden": (),
    "dropout": (), "bn": "torch", "padding": "symmetric",
}  # fmt: skip
settings = {f"model.frame_classifier.{key}": value for key, value in network.items()}
settings |= {"preprocess.mean": (0.5, 0.5, 0.5), "preprocess.std": (0.5, 0.5, 0.5)}
settings |= {"data.path": made.pack, "train.epochs": epochs}
config = dfjax.load_config(f"resnet18:{size}", settings)
run = dfjax.train(config, f"runs/resnet34_{size}")

# %% [markdown]
# ## Predictions, under two protocols
# `strict` is the evaluation of dfjax. `deepfakebench-compat` counts as DeepfakeBench does, which is what to compare
# with its published numbers. The predictions are a Parquet table of video, label and score that any program reads,
# and `dfjax.evaluate` reads the tables of others.

# %%
report = dfjax.evaluate(run.workdir, split="test", out="work/results")
report

# %%
dfjax.evaluate("work/results/predictions.parquet", protocol="deepfakebench-compat")

# %% [markdown]
# ## Parameters for DeepfakeBench
# The file has the names of DeepfakeBench's ResNet34 and is read there with `strict=True`. In its config, `resolution`
# must be the size that the detector was trained with, and `mean` and `std` must be 0.5. A detector that DeepfakeBench
# does not have is refused, with the settings that differ. The file is written by torch, which Colab has; elsewhere
# install the extra `export`.

# %%
print(f"resolution: {config.preprocess.size}")
dfjax.export(run.workdir, to="deepfakebench", out=f"work/resnet34_{size}.pth")

# %% [markdown]
# ## A folder for the Hugging Face Hub
# It has the parameters as safetensors, the config with the preprocessing, and a model card with the data, the results
# with intervals and the limits. `dfjax.load` reads the folder, and from the hub `hf://user/name`.
# `to="onnx"` writes a program for onnxruntime and Triton; it needs the extra `export`.

# %%
folder = dfjax.export(run.workdir, to="hub", out="work/hub")
folder

# %%
dfjax.predict(dfjax.load("work/hub"), f"work/{size}/videos", face_detector="none")
