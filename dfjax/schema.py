"""The keys of a config and their defaults, one table per section; `dfjax.config.base` joins them.

Sections mirror the packages; a builder's keyword arguments are the keys of its section. The options
of models are not here: they are the fields of their modules.
"""

from typing import Any

DATA = {
    "path": "",  # a pack (`dfjax data pack`); empty: generate the synthetic set below
    "features": "",  # a feature pack (`dfjax data features`), for models that read those instead
    "synthetic": {"videos": 0, "identities": 0, "frames": 12, "size": 64},
    "fold": "",  # N/K: round N of K-fold cross-validation, in place of the pack's splits
    "crop_size": 0,  # side of the crops, pixels; taken from the data when training starts
    "frames": 10,  # T
    "sampling": "stride",  # stride | even | duration:SECONDS
    "stride": 3,  # in source frames, for sampling = stride
    "pad": "end",  # where a short clip is padded: end | random (in training, else centre) | centre
    "train_clips": 1,  # clips of a video in an epoch of training, each somewhere in it
    "eval_clips": 1,  # clips of a video that evaluation sees, spread evenly; 0: all
    "flow": False,  # deliver the flow of the pack (`dfjax data flow`), at data.stride
    "pairing": "none",  # none | paired (a real clip with its own fake) | balanced
    "balance_datasets": False,  # every data set as often as the others, within its class
    "self_blend": 0.0,  # share of the fakes that are real videos blended with themselves
    "hard_mining": 0.0,  # share of an epoch in which videos come as often as their loss is high
    "holdout_methods": (),  # manipulations kept out of training and validation
    "shuffle_labels": False,  # a control: a detector trained so must score AUC 0.5
    "workers": 0,  # decoding processes; 0: threads of this process
    "threads": 4,
    "prefetch": 4,  # batches
}
# How the training crops were cut, see `dfjax.data.faces.recipe.CropRecipe`. Taken from the data
# when training starts, never set by hand. A type stands for a key that is None where the data do
# not say; every config gets placeholders of its own, because a placeholder holds its value.
CROPS: dict[str, Any] = {
    "detector": str,
    "detector_sha256": str,
    "margin": float,
    "align": bool,
    "size": int,
    "jpeg_quality": int,
    "faces": str,
    "flow_method": str,
    "frames": int,
    "every": int,
    "min_quality": (),
}
PREPROCESS = {
    "size": 224,  # model input, pixels
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
}
# One draw per clip for all of its frames. An operation is PROBABILITY,LOWEST,HIGHEST or what
# `augment_operations.OPERATIONS` lists, or its probability alone; (): as the preset has it.
AUGMENT: dict[str, Any] = {
    "preset": "none",  # see `dfjax.data.transforms.augment_presets.PRESETS`
    "crop": (),  # random resized crop: probability, smallest and largest area, ratios
    "rotate": (),  # angle in degrees
    "zoom": (),  # factor; above 1 enlarges
    "translate": (),  # shift as a fraction of the side, drawn for either axis
    "flip": (),  # probability
    "brightness": (),  # factor of all values
    "offset": (),  # added to all values, as a fraction of white
    "contrast": (),  # factor of the distance from the mean luma
    "saturation": (),  # factor of the distance from gray
    "hue": (),  # rotation as a fraction of the colour circle
    "fancy_pca": (),  # probability, standard deviation of the shift along the principal colours
    "hsv": (),  # probability, largest shifts of hue, saturation and value
    "blur": (),  # sigma in pixels, and the number of taps
    "rescale": (),  # fraction of the side to which frames shrink before they are enlarged again
    "noise": (),  # standard deviation as a fraction of white
    "jpeg": (),  # quality, 1 to 100
    "erase": (),  # random erasing: as crop
    "one_of": (),  # (PROBABILITY, NAME, (NAME, NAME), …): a clip gets one of these, or none
}
MIX = {
    "mixup": 0.0,  # parameter a of Beta(a, a), from which the share is drawn; 0: off
    "cutmix": 0.0,  # parameter a of Beta(a, a), from which the area is drawn; 0: off
    "probability": 1.0,  # probability of a clip to be mixed
    "segment": False,  # CutMix replaces a random run of frames instead of all frames
}
# Beside these, a section per entry of `dfjax.losses.registry.LOSSES` with its options.
LOSS = {
    "name": "bce",  # bce | cross_entropy (two-class head) | focal | supcon | package.module:factory
    "class_weights": "none",  # none | balanced (from the training videos) | W_REAL,W_FAKE
    "temporal": 0.0,  # share of the temporal consistency between neighbouring frames
    "method": 0.0,  # share of the cross-entropy of the manipulation method
}
OPTIMIZER: dict[str, Any] = {
    "name": "adam",  # adam | adamw | sgd
    "learning_rate": 1e-4,
    "b1": 0.9,
    "b2": 0.999,
    "eps": 1e-8,
    "momentum": 0.9,  # of sgd
    "weight_decay": 0.0,
    "no_decay": ("bias$", "scale$"),  # patterns of parameter paths
    "clip_norm": 0.0,  # largest global norm of the gradient; 0: no clipping
    "freeze": (),  # patterns of parameters that stay as they are
    "multipliers": (),  # (pattern, factor) pairs of the learning rate
}

SCHEDULE = {
    "name": "constant",  # constant | cosine | restarts
    "warmup_steps": 0,  # steps of linear warm-up from 0
    "final_scale": 0.0,  # last value of a cosine as a fraction of the learning rate
    "period": 0,  # steps between restarts
}

TRAIN = {
    "init_from": "",  # a workdir (its best checkpoint) or a safetensors file
    "freeze_random": False,  # optimizer.freeze may keep parameters at random values
    "batch_size": 16,  # clips per step
    "accumulate": 1,  # parts of a batch that go through the model one after another
    "epochs": 30,
    "log_every": 10,  # steps
    "ema_decay": 0.0,  # decay of averaged parameters, which evaluation then uses; 0: off
    "max_skipped": 10,  # consecutive steps that are not finite before the run gives up
}

# On a validation metric, like early stopping.
PLATEAU = {
    "metric": "loss",
    "mode": "min",
    "patience": 0,  # epochs; 0: off
    "rule": "torch",  # torch | keras: whose ReduceLROnPlateau decides, see training/stopping.py
    "factor": 0.5,
    "floor": 0.0,  # as a fraction of the learning rate
}
