"""The keys of a config and their defaults, one table per section; `dfjax.config.base` joins them.

The keys of a section are the keyword arguments of the function that uses it. The options of models
are not listed here: they are the fields of their modules.
"""

from typing import Any

REMAT = ("none", "block", "all")
"""What the backward pass keeps (`remat` of models): all, the outputs of blocks, or the input."""

DATA = {
    "path": "",  # a pack (`dfjax data pack`); empty: the synthetic set below is generated
    "features": "",  # a feature pack (`dfjax data features`), for models that read features
    "synthetic": {"videos": 0, "identities": 0, "frames": 12, "size": 64},
    "fold": "",  # N/K: round N of K-fold cross-validation, in place of the pack's splits
    "crop_size": 0,  # side of the crops, pixels; taken from the data when training starts
    "frames": 10,  # T
    "sampling": "stride",  # stride | even | duration:SECONDS
    "stride": 3,  # in source frames, for sampling = stride
    "pad": "end",  # where a short clip is padded: end | random (in training, else centre) | centre
    "train_clips": 1,  # clips per video in a training epoch, at random positions
    "eval_clips": 1,  # clips per video in evaluation, spread evenly; 0: as many as cover it
    "flow": False,  # whether the flow of the pack is read (`dfjax data flow`), at data.stride
    # none | balanced | paired (a real clip with its own fake) | auto: either of the two |
    # source (for generators: a real clip, and as its input a fake of it or, without one, itself)
    "pairing": "none",
    "balance_datasets": False,  # sample all data sets equally often, within each class
    "self_blend": 0.0,  # share of the fakes that are real videos blended with themselves
    "hard_mining": 0.0,  # share of an epoch that is sampled in proportion to the losses of videos
    "holdout_methods": (),  # manipulations left out of training and validation
    "shuffle_labels": False,  # a control: a detector trained with it must have an AUC of 0.5
    "workers": 0,  # decoding processes; 0: threads of this process
    "threads": 4,
    "prefetch": 4,  # batches
}
# The crop recipe of the training data (`dfjax.data.faces.recipe.CropRecipe`), which is read from
# the data when training starts and never set by the user. A type is the placeholder of a value that
# may be None; every config has its own placeholders, because a placeholder stores its value.
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
    "min_face": int,
    "min_quality": (),
}
MOST_PIXELS = 4096  # of a side of the images that a network reads
PREPROCESS = {
    "size": 224,  # model input, pixels
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
}
# All frames of a clip have the same draw. An operation is PROBABILITY,LOWEST,HIGHEST or the values
# in `augment_operations.OPERATIONS`, or its probability alone; () means the values of the preset.
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
    "rgb": (),  # largest shifts of red, green and blue, as fractions of white
    "fancy_pca": (),  # probability, standard deviation of the shift along the principal colours
    "hsv": (),  # probability, largest shifts of hue, saturation and value
    "blur": (),  # sigma in pixels, and the number of taps
    "rescale": (),  # fraction of the side to which frames shrink before they are enlarged again
    "noise": (),  # standard deviation as a fraction of white
    "jpeg": (),  # quality, 1 to 100
    "erase": (),  # random erasing: the values of crop
    "one_of": (),  # (PROBABILITY, NAME, (NAME, NAME), …): a clip gets one of these, or none
}
MIX = {
    "mixup": 0.0,  # parameter a of Beta(a, a), from which the share is drawn; 0: off
    "cutmix": 0.0,  # parameter a of Beta(a, a), from which the area is drawn; 0: off
    "probability": 1.0,  # probability of a clip to be mixed
    "segment": False,  # CutMix replaces a random run of frames instead of all frames
}
# Besides these, there is a section per entry of `dfjax.losses.registry.LOSSES` with its options.
LOSS = {
    # bce | cross_entropy (two-class head) | focal | supcon | package.module:factory |
    # restoration (of generators: the sum of the terms of GENERATOR_LOSS)
    "name": "bce",
    "class_weights": "none",  # none | balanced (from the training videos) | W_REAL,W_FAKE
    "temporal": 0.0,  # factor of the temporal consistency between consecutive frames
    "method": 0.0,  # factor of the cross-entropy of the method head
    "mask": 0.0,  # factor of the cross-entropy of the mask head
    "uniformity": 0.0,  # factor of the uniformity of unit features (losses/hypersphere.py)
    "alignment": 0.0,  # factor of the alignment of unit features of one class
    "orthogonality": 0.0,  # factor of the penalty of singular vectors of adapter.name=svd
    "singular_values": 0.0,  # factor of the penalty of their singular values
}
# The terms of the loss of a generator, and their factors (`loss.TERM.weight`; 0: off).
GENERATOR_LOSS: dict[str, dict[str, Any]] = {
    "restoration": {"weight": 10.0},  # mean absolute difference to the target, values in [-1, 1]
    "perceptual": {
        "weight": 1.0,
        "backbone": "vgg16",  # network whose maps are compared
        "file": "",  # safetensors file of its parameters; empty: fixed random parameters
        "width": 1.0,  # factor of its channels, for random parameters
    },
    "adversarial": {
        "weight": 1.0,
        "kind": "hinge",  # hinge | lsgan | bce
        "r1": 0.0,  # factor of the gradient penalty of the discriminator on real clips; 0: off
    },
    "flow_consistency": {"weight": 2.0},
    "critic": {
        "weight": 1.0,
        "detector": "",  # workdir or weights file of a detector to fool; empty: off
        "model": "",  # its config, where the header of a weights file does not name it
    },
}
# Trained parameters that change kernels (`dfjax.models.adapters`). Exports and weights files have
# plain kernels. What is frozen, the kernels too, is optimizer.freeze, which freezes adapters only
# where a pattern contains their part, `adapters`.
ADAPTER: dict[str, Any] = {
    "name": "none",  # none | lora | svd (Effort: the smallest singular values are trained)
    # patterns of parameter paths; by default the attention of vision transformers
    "kernels": (r"stage1_block\d+/attention/(query|key|value|output)/kernel$",),
    "rank": 8,  # of the trained part of each kernel
    "alpha": 8.0,  # of LoRA: its part is multiplied by alpha / rank
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
    "sam_radius": 0.0,  # of sharpness-aware minimisation, which computes two gradients; 0: off
    "freeze": (),  # patterns of parameters that are not trained
    "multipliers": (),  # (pattern, factor) pairs of the learning rate
}

SCHEDULE = {
    "name": "constant",  # constant | linear | cosine | restarts
    "warmup_steps": 0,  # steps of linear warm-up from 0
    "hold": 0.0,  # share of the steps after the warm-up that come before a linear decay
    "final_scale": 0.0,  # last value of a decay as a fraction of the learning rate
    "period": 0,  # steps between restarts
}

# Safetensors files that the backbones of a new run start from: one for all, or one per stream.
INIT = {"backbone": "", "hq": "", "lq": "", "rgb": ""}

TRAIN = {
    "init_from": "",  # a workdir (its best checkpoint) or a safetensors file
    "freeze_random": False,  # whether optimizer.freeze may freeze random parameters
    "batch_size": 16,  # clips per step
    "accumulate": 1,  # parts of a batch whose gradients are computed one after another
    "epochs": 30,
    "log_every": 10,  # steps
    "ema_decay": 0.0,  # decay of averaged parameters, which evaluation then uses; 0: off
    "batch_norm": "global",  # batch statistics of: global (all devices) | local (each) | 4 devices
    "gradient_dtype": "auto",  # of the sum over devices: auto (XLA decides) | float32 | bfloat16
    "max_skipped": 10,  # consecutive non-finite steps after which the run fails
}

EVAL = {
    "batch_size": 16,  # clips
    "min_face_share": 0.5,  # share of frames with a face below which an input is not scored
}

# Reduction of the learning rate by a validation metric.
PLATEAU = {
    "metric": "loss",
    "mode": "min",
    "patience": 0,  # epochs; 0: off
    "rule": "torch",  # torch | keras: ReduceLROnPlateau of this framework, see training/stopping.py
    "factor": 0.5,
    "floor": 0.0,  # as a fraction of the learning rate
}
