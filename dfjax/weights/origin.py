"""What is known of another program's weights files: names, conventions and wrappers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dfjax.models.efficientnet import SCALING
from dfjax.weights.convention import Convention
from dfjax.weights.key_table import Table

SIZES = {name: scale.size for name, scale in SCALING.items()}
B_NETS = tuple(name for name in SIZES if name.startswith("b"))
LITE_NETS = tuple(name for name in SIZES if name.startswith("lite"))
RESNETS = ("resnet18", "resnet34", "resnet50")


@dataclass(frozen=True)
class Network:
    """One network of a program.

    Attributes:
        table: Names of its layers.
        conventions: Conventions by padding rule; a file follows one of them.
        config: Name of the config of a whole detector; an empty text for a backbone.
        settings: Values of the config's keys that the detector has.
        positive_real: Whether the published files have an output of 1 for real faces.
        hub_config: Values of the keys of the hub's `config.json` that change what the network
            computes (see `hub_settings`); empty where the files of the program have none.
        renamed: Name of our network, where it is not the key.
        note: What a user has to know about the import.
    """

    table: Table
    conventions: Mapping[str, Convention]
    config: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    positive_real: bool = False
    hub_config: Mapping[str, Any] = field(default_factory=dict)
    renamed: str = ""
    note: str = ""


@dataclass(frozen=True)
class Wrapper:
    """How files of a project name the layers of a program that it uses.

    Attributes:
        name: Name of the project, or an empty text for the program itself.
        renames: Beginnings of the program's keys, and what they are in the file. The first one
            that a key has is replaced.
        convention: Values that differ from the program's convention.
    """

    name: str
    renames: tuple[tuple[str, str], ...]
    convention: Mapping[str, Any] = field(default_factory=dict)

    def rename(self, key: str) -> str:
        """Returns the key in the file."""
        for old, new in self.renames:
            if key.startswith(old):
                return new + key[len(old) :]
        return key


PLAIN = Wrapper("", ())


@dataclass(frozen=True)
class Origin:
    """A program.

    Attributes:
        name: Name that is stored with the weights.
        networks: Networks by our name.
        wrappers: Projects whose files name the program's layers in their own way. The first one is
            used for writing.
        others: Further networks by our name, whose files are recognised by their keys.
        hints: Padding rules by a part of the file's name that tells which one it is.
        keras: Whether the files are those of Keras instead of torch.
        layouts: Which files are read, for the message about a file that does not fit.
    """

    name: str
    networks: Mapping[str, Network]
    wrappers: tuple[Wrapper, ...] = (PLAIN,)
    others: Mapping[str, Network] = field(default_factory=dict)
    hints: Mapping[str, str] = field(default_factory=dict)
    keras: bool = False
    layouts: str = ""
