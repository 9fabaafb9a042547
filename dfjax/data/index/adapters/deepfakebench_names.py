"""The names DeepfakeBench gives to data sets and classes, and what ours are called.

Its JSON files are `{dataset: {label: {split: {video: {...}}}}}`, for some data sets with a level of
compressions between split and video.
"""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from dfjax import FAKE, REAL
from dfjax.data.index.adapters import celebdf, dfd, ffpp
from dfjax.errors import InputError

NESTED = "FF-DF FF-F2F FF-FS FF-NT FF-FH FaceForensics++ DeepFakeDetection FaceShifter".split()
"""Data sets whose JSON has the level of compressions."""

FF_METHODS = {
    "FF-DF": "Deepfakes",
    "FF-F2F": "Face2Face",
    "FF-FS": "FaceSwap",
    "FF-NT": "NeuralTextures",
    "FF-FH": "FaceShifter",
}


class Names(NamedTuple):
    """What DeepfakeBench calls one of our data sets and its classes."""

    dataset: str
    real: str
    fakes: Mapping[str, str]  # by our method
    fake: str  # of any other method


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
    """Returns DeepfakeBench's names of a data set; for one it does not know, `X_Real`, `X_Fake`."""
    plain = re.sub(r"[^\w.+-]", "_", dataset)
    return NAMES.get(dataset, Names(plain, f"{plain}_Real", {}, f"{plain}_Fake"))


def read_label(name: object) -> int:
    """Returns the label that a class name of DeepfakeBench means; 0 and 1 stand for themselves.

    Raises:
        InputError: the name tells neither.
    """
    if isinstance(name, int) and name in (REAL, FAKE):
        return int(name)
    text = str(name).casefold()
    if re.search(r"(?:^|[_-])real(?:$|[_-])", text):
        return REAL
    if str(name) in FF_METHODS or "fake" in text:
        return FAKE
    raise InputError(f"the class {name!r} is neither real nor fake")


def describe(
    dataset: str, class_name: str, compression: str | None, video: str, frame: str
) -> dict[str, Any]:
    """Returns the fields of a record that DeepfakeBench's names tell.

    Videos of data sets with an adapter of their own get the `video_id` that it gives them.

    Args:
        dataset: the top level of the JSON.
        class_name: such as `FF-DF`, `CelebDFv2_real`.
        compression: such as `c23`, or None.
        video: its name in the JSON.
        frame: the path of one of its frames, with slashes.

    Raises:
        InputError: the class is neither real nor fake.
    """
    label = read_label(class_name)
    rate = ffpp.COMPRESSIONS.get(compression or "c23", compression or "c23")
    if class_name == "FF-real" and re.fullmatch(r"\d{3}", video):
        return ffpp.describe_real(video, rate) | {"dataset": "ffpp", "compression": rate}
    if class_name in FF_METHODS and (pair := re.fullmatch(r"(\d{3})_(\d{3})", video)):
        fields = ffpp.describe_fake(FF_METHODS[class_name], pair[1], pair[2], rate)
        return fields | {"dataset": "ffpp", "compression": rate}
    if class_name.startswith("DFD_") and (known := dfd.describe(video, rate)):
        return known
    if celeb := re.match(r"CelebDFv([12])_", class_name):
        folder = _celeb_folder(label, video, frame)
        return celebdf.describe(f"{folder}/{video}.mp4", f"celebdf_v{celeb[1]}")
    ours = next((k for k, v in NAMES.items() if v.dataset == dataset), dataset)
    parts = [ours, class_name, *([compression] if compression else []), video]
    fields = {"video_id": "/".join(parts), "dataset": ours, "label": label}
    method = "real" if label == REAL else class_name
    return fields | {"method": method, "compression": compression}


def _celeb_folder(label: int, video: str, frame: str) -> str:
    """Returns the folder a video of Celeb-DF lies in: reals are of two kinds."""
    for part in PurePosixPath(frame).parts:
        if part.casefold() in celebdf.FOLDERS:
            return part
    if label == FAKE:
        return "Celeb-synthesis"
    return "Celeb-real" if video.startswith("id") else "YouTube-real"
