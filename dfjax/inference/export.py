"""Export of trained detectors and generators to files: `dfjax.export`."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

import dfjax
from dfjax.errors import RunError, UsageError, unknown
from dfjax.experiment.frozen_backbone import restore
from dfjax.experiment.saved import Saved, read_saved
from dfjax.exporting.formats import FORMATS, Format
from dfjax.exporting.program import Program
from dfjax.exporting.triton import CONFIG, MODEL, write_triton_config
from dfjax.files import atomic_path
from dfjax.inference.detector import Detector
from dfjax.inference.export_page import make_page_format
from dfjax.inference.export_program import (
    CLIPS,
    Call,
    compare,
    make_program,
    round_program,
    run_on_cpu,
    run_program,
)
from dfjax.inference.exported import Exported
from dfjax.inference.hub_export import check_hub_folder, fill_folder, write_hub_files
from dfjax.inference.mlflow_registry import open_registry, register_files
from dfjax.inference.provenance import find_data_sha256
from dfjax.inference.reporting.card_file import find_card
from dfjax.inference.reporting.model_card import write_card
from dfjax.inference.shared_config import hide_folders
from dfjax.inference.weight_files import export_weights, find_whole_network, import_weights
from dfjax.models.frame_features import join, split_off
from dfjax.outputs import check_outputs
from dfjax.shapes import Variables
from dfjax.weights.rounding import FLOAT32, check_kind
from dfjax.weights.safetensors_file import KERNELS_ENTRY, save_safetensors

HUB = "hub"
WEIGHTS = {"safetensors": 0.0, HUB: 0.0, "deepfakebench": 1e-4, "keras": 1e-4}
"""Formats with the parameters alone, and the largest difference from the checkpoint's output that
is accepted once they are read back. `HUB` is a folder."""

PAGE = "html"
"""The format of a page that scores files in a browser."""

PROGRAMS = (*FORMATS, PAGE)

ROUNDED = ("safetensors", HUB, "onnx", "stablehlo")
"""Formats that can store kernels as int8 or bfloat16."""

AnyPath = str | os.PathLike[str]


def export(
    detector: AnyPath | Detector,
    to: str = "safetensors",
    *,
    out: AnyPath,
    checkpoint: str = "best",
    model: str = "",
    mask: bool = False,
    card: bool = False,
    face_model: AnyPath | None = None,
    web_runtime: AnyPath | None = None,
    triton: bool = False,
    kernels: str = FLOAT32,
    register: str = "",
) -> Exported:
    """Writes a detector or a generator to a file, reads that and compares it with the checkpoint.

    Args:
        detector: What `dfjax.load` takes, or a detector from it.
        to: Name of the format, a key of `exporting.formats.FORMATS` or of `WEIGHTS`, or `PAGE`.
        out: Path of the file, or of the folder for `hub`. One that exists is replaced if dfjax
            wrote it.
        checkpoint: `best` or `last`, where `detector` is a workdir.
        model: Name of the config of a safetensors file whose header does not have the config.
        mask: Whether a program also reads `mask bool[B,T]`, False for frames without a face.
        card: Whether a model card `OUT.md` is written too. A folder of the hub always has one.
        face_model: ONNX file of YuNet for a page; None is the one that was fetched.
        web_runtime: Package of onnxruntime-web from npm for a page, or a folder with its files;
            None is the one in the user's cache folder, which is downloaded unless it is there.
        triton: Whether `out` is the folder of a model of Triton Inference Server, for `onnx`.
        kernels: How a format of `ROUNDED` stores kernels, `float32`, `int8` or `bf16`.
        register: Name of a registered model in MLflow that what is written becomes a version of; ""
            for none.

    Raises:
        UsageError: An unknown format, one that cannot carry the detector, no such workdir or
            checkpoint, a package that is missing, MLflow cannot be used, or `out` is a folder or a
            file that dfjax did not write.
        RunError: The file computes something else than the checkpoint, and is not kept; or it is
            written, but MLflow did not register it.
    """
    place, path = Path(out), Path(out, MODEL if triton else "")
    card = card or to == HUB
    _check_format(to, mask=mask, triton=triton, kernels=kernels)
    _check_page_options(to, face_model=face_model, web_runtime=web_runtime)
    outputs = [path, *([find_card(path)] if card else []), *([place / CONFIG] if triton else [])]
    mlflow = open_registry(register) if register else None
    saved = _read(detector, outputs, to, checkpoint, model)
    metadata = describe_saved(saved) | ({KERNELS_ENTRY: kernels} if kernels != FLOAT32 else {})
    form = _find_form(to, saved, face_model, web_runtime)
    program, rounding = round_program(_make_program(saved, metadata, form, to, mask), kernels)
    runtime, difference = _write(path, to, form, program, saved)
    if triton:
        write_triton_config(place, program, batch_size=saved.config.eval.batch_size)
    inputs = {name: list(x.shape) for name, x in program.inputs.items()} if to in PROGRAMS else {}
    given: dict[str, Any] = {"form": to, "inputs": inputs, "kernels": kernels, "rounding": rounding}
    written = write_card(path, saved, **given) if card else None
    checked = (CLIPS, runtime, difference, written, kernels, rounding)
    done = Exported(place, to, _measure(path), saved.checkpoint, inputs, *checked)
    return register_files(mlflow, register, saved.folder, done, outputs) if mlflow else done


def _check_format(to: str, *, mask: bool, triton: bool, kernels: str) -> None:
    """Raises an error for an unknown format, or one that an option is not for."""
    if to not in (*PROGRAMS, *WEIGHTS):
        raise unknown("format", to, (*PROGRAMS, *WEIGHTS))
    if mask and to not in FORMATS:
        raise UsageError(f"mask is for programs ({', '.join(FORMATS)}), not for {to}")
    if triton and to != "onnx":
        raise UsageError(f"triton is for onnx, not for {to}")
    check_kind(kernels)
    if kernels != FLOAT32 and to not in ROUNDED:
        raise UsageError(
            f"kernels={kernels} is for {', '.join(ROUNDED)}: {to} is written with float32 kernels"
        )


def _check_page_options(to: str, **options: AnyPath | None) -> None:
    """Raises an error for an option of a page with another format, which would ignore it."""
    for name, value in options.items():
        if value is not None and to != PAGE:
            raise UsageError(f"{name}={value} is for {PAGE}, not for {to}")


def _write(
    path: Path, to: str, form: Format | None, program: Program, saved: Saved
) -> tuple[str, float]:
    """Writes a file, or a folder of the hub, and reads it back.

    Returns:
        The runtime that computed its output, and the largest difference from the checkpoint's.
    """
    with fill_folder(path) if to == HUB else atomic_path(path) as partial:
        if form:
            call, runtime, limit = _save_program(partial, form, program)
        else:
            call = _save_weights(partial, to, saved, program.metadata)
            runtime, limit = "dfjax", WEIGHTS[to]
        difference = compare(call, run_on_cpu(program))
        _check_difference(to, difference, limit)
    return runtime, difference


def _check_difference(to: str, difference: float, limit: float) -> None:
    """Raises an error unless a difference from the checkpoint's output is accepted."""
    if not difference <= limit:
        raise RunError(
            f"{to}: the output differs from that of the checkpoint by {difference:.1e} on "
            f"{CLIPS} clips, and at most {limit:.0e} is accepted; no file was kept"
        )


def _make_program(
    saved: Saved, metadata: Mapping[str, Any], form: Format | None, to: str, mask: bool
) -> Program:
    """Returns the program of a detector as a format needs it."""
    size = saved.config.data.crop_size if to == PAGE else 0
    lowering, mask = "native" if form else "auto", mask or to == PAGE
    return make_program(saved, metadata, mask=mask, size=size, lowering=lowering)


def _save_program(path: Path, form: Format, program: Program) -> tuple[Call, str, float]:
    """Writes a program; returns its function, its runtime and the accepted difference."""
    form.save(path, program)
    return form.open(path), form.runtime, form.tolerance


def _find_form(
    to: str, saved: Saved, face_model: AnyPath | None, web_runtime: AnyPath | None
) -> Format | None:
    """Returns the format of programs of a name; None for one of parameters alone."""
    if to != PAGE:
        return FORMATS.get(to)
    face_file, package = (None if p is None else Path(p) for p in (face_model, web_runtime))
    return make_page_format(saved, face_model=face_file, runtime=package)


def _read(
    detector: AnyPath | Detector, outputs: list[Path], to: str, checkpoint: str, model: str
) -> Saved:
    """Returns the stored parts of a detector, after checking that no output is among the inputs."""
    if to == HUB:
        check_hub_folder(outputs[0])
    else:
        check_outputs(outputs, inputs=[] if isinstance(detector, Detector) else [detector])
    if isinstance(detector, Detector):
        return _store(detector)
    return read_saved(detector, checkpoint, model=model)


def describe_saved(saved: Saved) -> dict[str, Any]:
    """Returns the entries of a file's header: the config and what else prediction needs.

    Paths in them are names without folders of this machine; the training data are recognised by the
    hash of their index.
    """
    metadata = {
        "format": "dfjax",
        "version": dfjax.__version__,
        "checkpoint": saved.checkpoint,
        "config": saved.config.to_dict(),
        "methods": list(saved.methods),
        "crops": saved.config.crops.to_dict(),
    }
    metadata |= {"features": saved.backbone.record} if saved.backbone else {}
    sha256 = saved.data_sha256 or find_data_sha256(saved.folder)
    metadata |= {"data_sha256": sha256} if sha256 else {}
    header = json.loads(json.dumps(metadata, default=list))
    return {**hide_folders(header), "config": hide_folders(header["config"])}


def _store(detector: Detector) -> Saved:
    """Returns the parts of a loaded detector as they are stored."""
    variables, backbone = jax.device_get(detector.variables), None
    if detector.features:
        variables, below = split_off(variables)
        backbone = restore(dict(detector.features), below, source=str(detector.workdir))
    return Saved(
        config=detector.config,
        variables=variables,
        backbone=backbone,
        checkpoint=detector.checkpoint,
        checkpoint_sha256=detector.checkpoint_sha256,
        methods=detector.methods,
        folder=detector.workdir,
        data_sha256=detector.data_sha256,
    )


def _save_weights(path: Path, to: str, saved: Saved, metadata: Mapping[str, Any]) -> Call:
    """Writes parameters alone and returns the function that the file, read back, computes."""
    if to == HUB:
        write_hub_files(path, _join_backbone(saved), metadata)
        program = make_program(read_saved(path), {}, lowering="auto")
        return lambda *arrays: run_program(program, *arrays)
    own = path if to == "safetensors" else path.with_name(f"{path.name}.safetensors")
    back = path.with_name(f"{path.name}.back.safetensors")
    name = "" if to == "safetensors" else find_whole_network(to, saved.config)
    try:
        save_safetensors(own, _join_backbone(saved), metadata=metadata)
        if own != path:
            export_weights(own, to, name, path)
            size = saved.config.preprocess.size  # which the file does not have
            import_weights(path, to, name, back, size=size)
        program = make_program(read_saved(back if name else own), {}, lowering="auto")
    finally:
        for file in {own, back} - {path}:
            file.unlink(missing_ok=True)
    return lambda *arrays: run_program(program, *arrays)


def _join_backbone(saved: Saved) -> Variables:
    """Returns the variables with those of the backbone of stored features, where there is one."""
    backbone = saved.backbone
    return join(saved.variables, backbone.variables) if backbone else saved.variables


def _measure(path: Path) -> int:
    """Returns the size of a file, or of the files in a folder."""
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.iterdir()))
