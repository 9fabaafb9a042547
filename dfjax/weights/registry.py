"""`ORIGINS`: the programs whose weights are read and written, by name."""

from dfjax.errors import UsageError, unknown
from dfjax.weights.origin import Network, Origin
from dfjax.weights.origins.deepfakebench import DEEPFAKEBENCH
from dfjax.weights.origins.efficientnet_pytorch import EFFICIENTNET_PYTORCH
from dfjax.weights.origins.gend import GEND
from dfjax.weights.origins.keras import KERAS_APPLICATIONS
from dfjax.weights.origins.timm import TIMM
from dfjax.weights.origins.torchvision import TORCHVISION
from dfjax.weights.origins.transformers import TRANSFORMERS

DFJAX = "dfjax"
"""Our own names, which need no key map."""

ORIGINS = {
    "timm": TIMM,
    "torchvision": TORCHVISION,
    "transformers": TRANSFORMERS,
    "efficientnet_pytorch": EFFICIENTNET_PYTORCH,
    "keras": KERAS_APPLICATIONS,
    "deepfakebench": DEEPFAKEBENCH,
    "gend": GEND,
}


def find_origin(name: str) -> Origin:
    """Returns a program.

    Raises:
        UsageError: The name is unknown.
    """
    if name not in ORIGINS:
        raise unknown("format of weights", name, (*ORIGINS, DFJAX))
    return ORIGINS[name]


def find_network(origin: Origin, name: str) -> Network:
    """Returns the network of a program for one of our architectures.

    Raises:
        UsageError: The program does not have the architecture.
    """
    if name not in origin.networks:
        raise UsageError(
            f"{origin.name} has no {name}; its networks here: {', '.join(origin.networks)}"
        )
    return origin.networks[name]
