"""U-Net with a ConvLSTM that restores fakes, trained against a PatchGAN. 33.7M and 2.8M parameters.

The data need pairs of a fake and its real video, and optical flow (`dfjax data flow`); without
flow, use --config.data.flow=False --config.loss.flow_consistency.weight=0. A detector is fooled
with --config.loss.critic.detector=WORKDIR, and --config.loss.perceptual.file=VGG16.safetensors
gives the perceptual loss its features of ImageNet.

Command:  dfjax train --config=defake --workdir=runs/defake --config.data.path=PACK
Hardware: any; batch 4 of 16 frames in bfloat16 wants an accelerator with 40 GB
Time:     full size not yet measured; :tiny 6 minutes on two busy CPU cores
Expected: full size not yet measured; :tiny on synthetic validation pairs: PSNR 29.1 dB, 1.5 dB more
          than the fakes
"""

from ml_collections import ConfigDict

from dfjax.config import base
from dfjax.variants import use_variant


def get_config(variant: str = "") -> ConfigDict:
    """Returns the published settings; `smoke` and `tiny` are small enough for a laptop CPU.

    The side of the frames, the stride, the residual output, the first decay of Adam and the decay
    of the averaged parameters are our own choice.
    """
    c = base()
    c.name = "defake"
    c.model.name = "unet"
    c.model.unet.update({"conv_lstm": (512,), "residual": True})
    c.model.discriminator = "patch_gan"
    c.loss.name = "restoration"
    c.data.update({"frames": 16, "flow": True, "pairing": "source"})
    c.data.update({"stride": 3, "eval_clips": 1})  # ours
    c.preprocess.update({"size": 256, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)})
    c.precision = "bfloat16"
    c.optimizer.update({"name": "adamw", "learning_rate": 2e-4, "weight_decay": 1e-4, "b1": 0.5})
    c.plateau.update({"metric": "l1", "patience": 5})
    c.early_stop.update({"metric": "psnr", "mode": "max", "patience": 0})  # 40 epochs or more
    c.train.update({"batch_size": 4, "epochs": 40, "ema_decay": 0.999})
    c.eval.batch_size = 4
    use_variant(c, variant)
    if variant:
        c.model.patch_gan.width = 0.25
        c.loss.perceptual.width = 0.125
        c.optimizer.learning_rate = 1e-3
    if variant == "smoke":
        # Few layers compile fast, and small maps are fast also without optimised convolutions.
        c.lowering = "native"
        c.model.unet.update({"channels": (64, 128), "conv_lstm": (64,)})
        c.model.patch_gan.channels = (64,)
        c.preprocess.size = 32
        c.data.frames = 2
    if variant == "tiny":
        c.data.update({"frames": 2, "train_clips": 2})
        c.data.synthetic.update({"videos": 400, "identities": 100})
        c.loss.adversarial.weight = 0.1  # less, for a few hundred steps
        c.optimizer.clip_norm = 0.0
        c.train.update({"batch_size": 8, "epochs": 15, "ema_decay": 0.99})
        c.eval.batch_size = 16  # whole videos are restored in windows of two frames
    return c
