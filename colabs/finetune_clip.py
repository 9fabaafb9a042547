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
# # dfjax: fine-tune CLIP
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/dfjax/dfjax/blob/main/colabs/finetune_clip.ipynb)
#
# Some detectors train a small part of a vision transformer that is pre-trained on other images: the layer
# normalisations (GenD: Yermakov et al., WACV 2026), or the smallest singular value of every attention kernel (Effort:
# Yan et al., ICML 2025). LoRA (Hu et al., ICLR 2022) adds products of small matrices. This notebook trains all three on
# the same data and compares them.
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
# ## Weights
# `full` is CLIP L/14 at 224 px (303 million parameters), for an accelerator with 16 GB: its weights (1.7 GB) are
# downloaded from the Hugging Face Hub. `smoke`, and `full` without a network, is a small transformer with **random
# weights**: it shows the steps, and its scores mean nothing, since what is pre-trained is missing.

# %%
import dfjax

size = "smoke"  # @param ["smoke", "full"]
clip = ""
if size == "full":
    from dfjax.inference.weight_files import import_weights

    try:
        from huggingface_hub import hf_hub_download

        file = hf_hub_download("openai/clip-vit-large-patch14", "model.safetensors")
    except (ImportError, OSError) as error:
        print(f"CLIP cannot be downloaded: {error}")
    else:
        clip = str(import_weights(file, "transformers", "clip_l14", "clip_l14.safetensors").out)
print(f"starting from {clip}" if clip else "starting from RANDOM weights of a small network")

# %% [markdown]
# ## Data
# Give the folder of a pack (`dfjax.prepare`) in `pack`. Left empty, a small set of faces is drawn.

# %%
pack = ""  # @param {type:"string"}
if not pack:
    pack = dfjax.synthesise("work/smoke", videos=32, identities=12, samples=2, packed=True).pack

# %% [markdown]
# ## Three ways
# `optimizer.freeze` has the patterns of the parameters that stay. Adapters (`adapter.name`) change kernels by a few
# parameters; at first they change nothing.
#
# The configs are for larger accelerators: `gend` trains 30 epochs in batches of 512 frames. Here, `full` trains three
# in batches of 64, whose gradients are computed in two parts. The parameters take 1.2 GB, and a step with 32 frames
# 3.5 GB in all, as compiled for a TPU v5e by `dfjax plan`; a GPU without bfloat16, such as a T4, may need twice as much.
# A frame costs 440 GFLOP, which is a tenth of a second at 4 TFLOP/s. The terms that compare pairs of frames
# (uniformity and alignment, in `gend`) see those of one part only: 32 frames instead of the 512 of the paper.

# %%
shared = {"data.path": pack, "init.backbone": clip}
fitting = {"train.batch_size": 64, "train.accumulate": 2, "train.epochs": 3}
shared |= fitting if clip else {"train.freeze_random": True, "train.epochs": 1}
variant = "" if clip else ":smoke"
frozen = ("^backbone/",)
ways = {
    "layer normalisations": ("gend", {"optimizer.freeze": ("^backbone/(?!.*_norm/)",)}),
    "LoRA": ("gend", {"optimizer.freeze": frozen, "adapter.name": "lora", "adapter.rank": 4}),
    "Effort": ("effort", {"optimizer.freeze": frozen}),
}
runs = {
    name: dfjax.train(
        dfjax.load_config(config + variant, shared | changes), f"runs/{name.replace(' ', '_')}"
    )
    for name, (config, changes) in ways.items()
}
runs["Effort"].plot()

# %% [markdown]
# ## Comparison
# Two detectors are compared on the same test videos, with intervals of the differences.

# %%
dfjax.compare(*(dfjax.evaluate(runs[name].workdir) for name in ("LoRA", "Effort")))

# %% [markdown]
# ## Export
# The file has plain kernels, to which the change by the adapters is added.

# %%
dfjax.export(runs["Effort"].workdir, to="safetensors", out="effort.safetensors")
