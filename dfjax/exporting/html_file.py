"""A detector in one page of HTML: it scores videos and pictures in a browser, without a network.

The page holds the network in ONNX, onnxruntime-web, a face detector and the scripts of `page/`. Its
content security policy lets the browser run these scripts only, and load nothing.
"""

import base64
import gzip
import hashlib
import io
import json
import re
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dfjax.errors import FileError, UsageError
from dfjax.exporting.onnx_file import MISSING, open_onnx_bytes, write_onnx
from dfjax.exporting.program import Program
from dfjax.exporting.web_runtime import WebRuntime
from dfjax.outputs import COMMENT

WORKER = (
    *("numbers", "resize", "cosine_transform", "jpeg", "sampling", "tracks", "crops", "yunet"),
    *("h264", "mp4", "colours", "media", "score", "worker"),
)
INTERFACE = ("numbers", "calibration", "element", "results", "interface")
"""Scripts of the thread that computes, and of the page itself, in the order of their use."""

POLICY = (
    "default-src 'none'; script-src 'sha256-{hash}' 'wasm-unsafe-eval' blob:; worker-src blob:; "
    "style-src 'unsafe-inline'; img-src data: blob:; media-src blob:; base-uri 'none'; "
    "form-action 'none'"
)
LARGEST_MODEL = 2**31  # bytes of a network in a page that is read back


class Page(NamedTuple):
    """What a page has besides the detector's network.

    Attributes:
        title: Title.
        styles: Style sheet that the one of the page adds to.
        texts: Texts by the names in `page.html`, as HTML.
        settings: Settings by which files are scored, with values that can be stored as JSON.
        faces: ONNX file of YuNet; None where no face is searched for.
        runtime: Files of onnxruntime-web.
    """

    title: str
    styles: str
    texts: Mapping[str, str]
    settings: Mapping[str, Any]
    faces: Path | None
    runtime: WebRuntime


def save_html(path: Path, program: Program, page: Page) -> None:
    """Writes the page of a detector.

    Args:
        path: File to write.
        program: Program of the detector, with the inputs `clip` and `mask`.
        page: The other parts.

    Raises:
        UsageError: The extra is not installed.
    """
    script = _join_scripts(INTERFACE)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    runtime = re.sub(rb"\s*//# sourceMappingURL=.*\s*$", b"\n", page.runtime.script)
    parts = {"detector": _pack(write_onnx(program)), "runtime": _pack(runtime)}
    parts["binary"] = _pack(page.runtime.binary)
    if page.faces:
        parts["faces"] = _pack(free_sizes(page.faces))
    settings = json.dumps(page.settings).replace("<", "\\u003c")
    data = [f'<script type="text/plain" id={name}>{text}</script>' for name, text in parts.items()]
    worker = _join_scripts(WORKER)
    text = "".join(
        [
            f"<!doctype html>{COMMENT}<html lang=en><head><meta charset=utf-8>",
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY.format(hash=digest)}">',
            '<meta name=viewport content="width=device-width,initial-scale=1">',
            f'<link rel=icon href="data:,"><title>{page.title}</title>',
            f"<style>{page.styles}{_read_part('page.css')}</style></head><body>",
            _fill(_read_part("page.html"), {**page.texts, "title": page.title}),
            f'<script type="application/json" id=settings>{settings}</script>',
            f'<script type="text/plain" id=worker>{worker}</script>',
            *data,
            f"<script>{script}</script></body></html>\n",
        ]
    )
    path.write_text(text, encoding="utf-8", errors="replace")


def open_html(path: Path) -> Callable[..., np.ndarray]:
    """Returns the program in a page as a function of its inputs, in order, run by onnxruntime.

    Raises:
        UsageError: The extra is not installed.
        FileError: The file is no page of a detector.
    """
    found = re.search('<script type="text/plain" id=detector>([^<]*)<', path.read_text("utf-8"))
    if not found:
        raise FileError(f"{path} is no page with a detector")
    with gzip.GzipFile(fileobj=io.BytesIO(base64.b64decode(found[1]))) as file:
        return open_onnx_bytes(file.read(LARGEST_MODEL))


def free_sizes(path: Path) -> bytes:
    """Returns YuNet as ONNX for frames of any size; the file is for 640 x 640 pixels.

    Args:
        path: ONNX file of YuNet.

    Raises:
        UsageError: The extra is not installed, or the file is not YuNet.
    """
    try:
        import onnx
    except ImportError as error:
        raise UsageError(MISSING) from error
    model = onnx.load_model_from_string(path.read_bytes())
    graph = model.graph
    if [entry.name for entry in graph.input] != ["input"] or len(graph.output) != 12:
        raise UsageError(f"{path} is not a YuNet model of 2023")
    for axis, name in ((2, "H"), (3, "W")):
        graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    for entry in graph.output:
        entry.type.tensor_type.shape.dim[1].dim_param = f"N_{entry.name}"
    del graph.value_info[:]
    return model.SerializeToString()


def _fill(template: str, texts: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: texts[found[1]], template)


def _pack(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, mtime=0)).decode()


def _join_scripts(names: tuple[str, ...]) -> str:
    parts = [_read_part(f"{name}.js") for name in names]
    return '"use strict";\n' + "\n".join(parts)


def _read_part(name: str) -> str:
    return (resources.files("dfjax.exporting") / "page" / name).read_text(encoding="utf-8")
