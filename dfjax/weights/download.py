"""Downloads a file over HTTP: resumed where it stopped, and verified by its SHA-256."""

import http.client
import os
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from dfjax.errors import RunError, UsageError, first_line
from dfjax.files import hash_file, lock_folder

SCHEMES = ("https", "http")  # http too, because the content is verified
LARGEST = 16 * 2**30  # bytes; what a server sends beyond this is not stored
CHUNK = 2**20  # bytes read at a time
TIMEOUT = 30.0  # seconds without any byte
ATTEMPTS = 4  # connections that broke; each continues where the one before stopped
PAUSE = 1.0  # seconds before the second attempt, doubled before each further one


class _Broken(Exception):
    """The connection ended before the file did."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to `SCHEMES` only, and none from https to http.

    The base class refuses local files.
    """

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Returns the request of the new address.

        Raises:
            UsageError: It has another protocol, or leads from https to http.
        """
        scheme = urllib.parse.urlsplit(newurl).scheme
        if scheme not in SCHEMES or (scheme == "http" and req.type == "https"):
            raise UsageError(f"{req.full_url}: a redirection to {newurl} is not allowed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(url: str, path: Path, sha256: str) -> None:
    """Downloads a file to `path`, unless it is there already, and verifies it.

    The part that has arrived is kept beside it as `NAME.part`; the next call asks the server for
    the rest. A file whose hash is wrong is deleted. Proxies are those of the environment
    (`https_proxy`).

    Args:
        url: Address, `https://…` or `http://…`.
        path: File to write.
        sha256: Hash that the file must have, in hexadecimal.

    Raises:
        UsageError: The address is not valid, the server does not have the file, or there is no
            network; the message then says which file to put where. Or the file in place has
            another hash.
        RunError: What was received has another hash, or the connection keeps breaking.
    """
    if urllib.parse.urlsplit(url).scheme not in SCHEMES:
        raise UsageError(f"{url} is not an address of the form https://…")
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock_folder(path):
        if path.exists():
            check_hash(path, sha256)
            return
        part = path.with_name(f"{path.name}.part")
        _receive(url, part, remedy=_by_hand(url, path, sha256))
        found = hash_file(part)
        if found != sha256:
            part.unlink()
            raise RunError(
                f"{url} is not the expected file: its SHA-256 is {found}, not {sha256}; "
                "it was deleted"
            )
        os.replace(part, path)


def check_hash(path: Path, sha256: str) -> None:
    """Checks the hash of a file.

    Raises:
        UsageError: It is another one.
    """
    found = hash_file(path)
    if found != sha256:
        raise UsageError(f"{path} has the SHA-256 {found}, not {sha256}: delete it, or replace it")


def _by_hand(url: str, path: Path, sha256: str) -> str:
    return f"download {url} elsewhere and put it at {path} (its SHA-256 is {sha256})"


def _receive(url: str, part: Path, *, remedy: str) -> None:
    """Receives the file in up to `ATTEMPTS` connections."""
    for attempt in range(ATTEMPTS):
        try:
            return _continue(url, part)
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise UsageError(
                    f"{url}: the server answers {error.code} {error.reason}"
                ) from error
            reason = f"the server answers {error.code} {error.reason}"
        except (_Broken, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            reason = first_line(error)
        except urllib.error.URLError as error:  # no name, no route, refused
            host = urllib.parse.urlsplit(url).hostname
            raise UsageError(f"{host} cannot be reached ({error.reason}): {remedy}") from error
        if attempt < ATTEMPTS - 1:
            time.sleep(PAUSE * 2**attempt)
    have = part.stat().st_size if part.exists() else 0
    raise RunError(f"{url}: {reason}; {have} bytes are kept, and the same call continues there")


def _continue(url: str, part: Path) -> None:
    """Receives what the part of a file lacks; a server without ranges sends it anew."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "dfjax", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    opener = urllib.request.build_opener(_Redirects)
    try:
        answer = opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing is left to send: complete, or longer than the file
            raise
        if _total(error.headers) == have:
            return
        part.unlink()
        raise _Broken("the part that had arrived is not of this file") from error
    with answer, part.open("ab") as file:
        resumed = answer.status == 206 and _start(answer.headers) == have
        if not resumed:
            if answer.status == 206:
                raise _Broken("the server sent another range than was asked for")
            file.truncate(0)
            have = 0
        length = answer.headers.get("Content-Length")
        expected = have + int(length) if length and length.isdecimal() else None
        _check_room(part, (expected or 0) - have)
        while chunk := answer.read(CHUNK):
            have += len(chunk)
            if have > LARGEST:
                raise RunError(f"{url}: the server sent more than {LARGEST} bytes")
            file.write(chunk)
    if expected is not None and have < expected:
        raise _Broken(f"the connection ended after {have} of {expected} bytes")


def _start(headers: Any) -> int | None:
    """Returns the first byte of `Content-Range: bytes FIRST-LAST/TOTAL`."""
    first = headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(first) if first.isdecimal() else None


def _total(headers: Any) -> int | None:
    """Returns the size of the file in `Content-Range: bytes */TOTAL`."""
    total = headers.get("Content-Range", "").rpartition("/")[2]
    return int(total) if total.isdecimal() else None


def _check_room(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed > min(free, LARGEST):
        raise RunError(f"the file has {needed} more bytes, and {part.parent} has room for {free}")
