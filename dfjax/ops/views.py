"""`VIEWS`: fixed functions of frames that detectors read beside RGB, by name."""

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Array, Float

from dfjax.ops.noise_residual import KERNELS, srm_residual
from dfjax.ops.spectrum import phase_image


class View(NamedTuple):
    """A fixed function of frames.

    Attributes:
        compute: Function of f32[…,h,w,3], pixel values from 0 to 255, that returns f32[…,h,w,c].
        channels: Number c of its channels.
    """

    compute: Callable[[Float[Array, "*batch h w 3"]], Float[Array, "*batch h w c"]]
    channels: int


VIEWS = {"srm": View(srm_residual, len(KERNELS)), "phase": View(phase_image, 1)}
