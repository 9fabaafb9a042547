"""Translates between the names of data sets and classes in DeepfakeBench and in this package.

The JSON files of DeepfakeBench have the levels `{dataset: {label: {split: {video: {...}}}}}`. Some
data sets have one more level, the compression, between split and video.
"""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from dfjax import FAKE, REAL
from dfjax.data.index.adapters import celebdf, dfd, ffpp
from dfjax.errors import InputError

NESTED = "FF-DF FF-F2F FF-FS FF-NT FF-FH FaceForensics++ DeepFakeDetection FaceShifter".split()
"""Data sets whose JSON file has a level of compressions."""

FF_METHODS = {
    "FF-DF": "Deepfakes",
    "FF-F2F": "Face2Face",
    "FF-FS": "FaceSwap",
    "FF-NT": "NeuralTextures",
    "FF-FH": "FaceShifter",
}


class Names(NamedTuple):
    """DeepfakeBench's names of a data set and of its classes."""

    dataset: str
    real: str
    fakes: Mapping[str, str]  # class names of fakes by the index's `method`
    fake: str  # class name of fakes of any other method


NAMES = {
    "ffpp": Names("FaceForensics++", "FF-real", {v: k for k, v in FF_METHODS.items()}, "FF-DF"),
    "dfd": Names("DeepFakeDetection", "DFD_real", {}, "DFD_fake"),
    "celebdf_v1": Names("Celeb-DF-v1", "CelebDFv1_real", {}, "CelebDFv1_fake"),
    "celebdf_v2": Names("Celeb-DF-v2", "CelebDFv2_real", {}, "CelebDFv2_fake"),
    "dfdc": Names("DFDC", "DFDC_Real", {}, "DFDC_Fake"),
    "dfdcp": Names("DFDCP", "DFDCP_Real", {"method_B": "DFDCP_FakeB"}, "DFDCP_FakeA"),
    "deeperforensics": Names("DeeperForensics-1.0", "DF_real", {}, "DF_fake"),
    "uadfv": Names("UADFV", "UADFV_Real", {}, "UADFV_Fake"),
}


def find_names(dataset: str) -> Names:
    """Returns DeepfakeBench's names of a data set.

    A data set X that is not in DeepfakeBench gets the class names `X_Real` and `X_Fake`.

    Args:
        dataset: Name of the data set in the index.
    """
    plain = re.sub(r"[^\w.+-]", "_", dataset)
    return NAMES.get(dataset, Names(plain, f"{plain}_Real", {}, f"{plain}_Fake"))


def read_label(name: object) -> int:
    """Returns the label (REAL or FAKE) of a class name of DeepfakeBench.

    Args:
        name: Class name, or the label 0 or 1 itself.

    Raises:
        InputError: The name denotes neither a real nor a fake class.
    """
    if isinstance(name, int) and name in (REAL, FAKE):
        return int(name)
    text = str(name).casefold()
    if re.search(r"(?:^|[_-])real(?:$|[_-])", text):
        return REAL
    if str(name) in FF_METHODS or "fake" in text:
        return FAKE
    raise InputError(f"the class {name!r} is neither real nor fake")


def parse_name(
    dataset: str, class_name: str, compression: str | None, video: str, frame: str
) -> dict[str, Any]:
    """Returns the fields of a record that follow from the names in DeepfakeBench's JSON.

    Videos of data sets that have their own adapter get the same `video_id` as from that adapter.

    Args:
        dataset: Name at the top level of the JSON.
        class_name: Name of the class, such as `FF-DF` or `CelebDFv2_real`.
        compression: Compression, such as `c23`, or None.
        video: Name of the video.
        frame: Path of one of its frames, with forward slashes.

    Raises:
        InputError: The class is neither real nor fake.
    """
    label = read_label(class_name)
    rate = ffpp.COMPRESSIONS.get(compression or "c23", compression or "c23")
    if class_name == "FF-real" and re.fullmatch(r"\d{3}", video):
        return ffpp.describe_real(video, rate) | {"dataset": "ffpp", "compression": rate}
    if class_name in FF_METHODS and (pair := re.fullmatch(r"(\d{3})_(\d{3})", video)):
        fields = ffpp.describe_fake(FF_METHODS[class_name], pair[1], pair[2], rate)
        return fields | {"dataset": "ffpp", "compression": rate}
    if class_name.startswith("DFD_") and (known := dfd.parse_stem(video, rate)):
        return known
    if celeb := re.match(r"CelebDFv([12])_", class_name):
        folder = _celeb_folder(label, video, frame)
        return celebdf.parse_path(f"{folder}/{video}.mp4", f"celebdf_v{celeb[1]}")
    ours = next((k for k, v in NAMES.items() if v.dataset == dataset), dataset)
    parts = [ours, class_name, *([compression] if compression else []), video]
    fields = {"video_id": "/".join(parts), "dataset": ours, "label": label}
    method = "real" if label == REAL else class_name
    return fields | {"method": method, "compression": compression}


def _celeb_folder(label: int, video: str, frame: str) -> str:
    """Returns the folder of a Celeb-DF video; real videos are in one of two folders."""
    for part in PurePosixPath(frame).parts:
        if part.casefold() in celebdf.FOLDERS:
            return part
    if label == FAKE:
        return "Celeb-synthesis"
    return "Celeb-real" if video.startswith("id") else "YouTube-real"
