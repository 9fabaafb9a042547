"""The number of clips that are scored at a time."""

import jax
from ml_collections import ConfigDict

MOST_CLIPS = 32  # upper limit of the default
MOST_FRAMES_ON_CPU = 16  # upper limit of the frames of its clips on a CPU


def choose_batch_size(config: ConfigDict) -> int:
    """Returns the default number of clips per batch, which depends on no input.

    It is `eval.batch_size` of the config, at most `MOST_CLIPS`. On a CPU a clip takes about as long
    in a small batch as in a large one, and a batch of 16 clips that is padded from the single clip
    of a short video takes sixteen times as long. A batch there has at most `MOST_FRAMES_ON_CPU`
    frames.

    Args:
        config: Config of the detector.
    """
    size = min(MOST_CLIPS, config.eval.batch_size)
    if jax.default_backend() != "cpu":
        return size
    return min(size, max(1, MOST_FRAMES_ON_CPU // config.data.frames))
