"""The keys of a config and their defaults, one table per section; `dfjax.config.base` joins them.

Sections mirror the packages; a builder's keyword arguments are the keys of its section.
"""

DATA = {
    "path": "",  # a pack (`dfjax data pack`); empty: generate the synthetic set below
    "synthetic": {"videos": 0, "identities": 0, "frames": 12, "size": 64},
    "fold": "",  # N/K: round N of K-fold cross-validation, in place of the pack's splits
    "crop_size": 0,  # side of the crops, pixels; taken from the data when training starts
    "frames": 10,  # T
    "sampling": "stride",  # stride | even
    "stride": 3,  # in source frames, for sampling = stride
    "eval_clips": 1,  # clips of a video that evaluation sees, spread evenly; 0: all
    "flow": False,  # deliver the flow of the pack (`dfjax data flow`), at data.stride
    "pairing": "none",  # none | paired (a real clip with its own fake) | balanced
    "holdout_methods": (),  # manipulations kept out of training and validation
    "shuffle_labels": False,  # a control: a detector trained so must score AUC 0.5
    "workers": 0,  # decoding processes; 0: threads of this process
    "threads": 4,
    "prefetch": 4,  # batches
}
PREPROCESS = {
    "size": 224,  # model input, pixels
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
    "flip": 0.5,  # probability of a horizontal flip, one draw for the whole clip
}
MODEL = {
    "name": "",
    # One section per entry of `dfjax.models.MODELS`: the keyword arguments of its builder.
    "dual_stream": {
        "streams": ("hq", "lq"),
        "hq": "b4",
        "lq": "b0",
        "lq_size": 112,
        "width": 1.0,  # multiplies every width of the model
        "one_block": False,  # one block per stage: compiles fast, for tests and demos
        "conv_lstm": (256, 128),
        "projection": 1280,
        "attention": 512,
        "classifier": (512, 256),
        "dropout": (0.5, 0.3),
        "drop_path": 0.2,
        "padding": "same",
        "remat": False,
    },
}
OPTIMIZER = {
    "name": "adam",  # adam | adamw | sgd
    "learning_rate": 1e-4,
    "b1": 0.9,
    "b2": 0.999,
    "eps": 1e-8,
    "momentum": 0.9,  # of sgd
    "weight_decay": 0.0,
    "no_decay": ("bias$", "scale$"),  # patterns of parameter paths
    "clip_norm": 1.0,  # largest global norm of the gradient; 0: no clipping
    "freeze": (),  # patterns of parameters that stay as they are
    "multipliers": (),  # (pattern, factor) pairs of the learning rate
}

SCHEDULE = {
    "name": "constant",  # constant | cosine | restarts
    "warmup_steps": 0,
    "final_scale": 0.0,  # the last value of a cosine, as a fraction
    "period": 0,  # steps between restarts
}

TRAIN = {
    "init_from": "",  # a workdir, whose best checkpoint the parameters start from
    "batch_size": 16,
    "accumulate": 1,  # parts in which a batch goes through the model
    "epochs": 30,
    "log_every": 10,  # steps
    "ema_decay": 0.0,  # of averaged parameters, which evaluation then uses; 0: off
    "max_skipped": 10,  # steps in a row that are not finite before the run gives up
}

# On a validation metric, like early stopping; patience 0: off.
PLATEAU = {"metric": "loss", "mode": "min", "patience": 0, "factor": 0.5, "floor": 0.0}
