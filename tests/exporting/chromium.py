"""Drives headless Chromium by its DevTools protocol over a pipe, which needs no other package."""

import base64
import contextlib
import json
import os
import select
import subprocess
import time

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe"),
)
SECONDS = 120.0


class Tab:
    """A page in Chromium, with the requests, errors and console messages that it has made."""

    def __init__(self, write, read):
        self._write, self._read = write, read
        self._number, self._buffer = 0, b""
        self.events = []
        self.requests, self.messages = [], []
        self.chosen = 0  # file choosers that were opened
        self._session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self._watch(self._session)
        self.call("Page.enable")
        self.call("DOM.enable")

    def _watch(self, session):
        """Records what a page or a worker asks for and what it prints."""
        for method in ("Network.enable", "Runtime.enable", "Log.enable"):
            self._send(method, {}, session)
        attach = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}
        self._send("Target.setAutoAttach", attach, session)
        self._send("Runtime.runIfWaitingForDebugger", {}, session)

    def _send(self, method, params, session):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        return self._number

    def _receive(self, until):
        """Returns the next message, or None at a time."""
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                return None
            piece = os.read(self._read, 2**20)
            if not piece:
                raise RuntimeError("Chromium has ended")
            self._buffer += piece
        text, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(text)

    def _note(self, message):
        method, params = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.messages.append(json.dumps(params))
        elif method == "Target.attachedToTarget" and self._session:
            self._watch(params["sessionId"])
        elif method == "Page.fileChooserOpened":
            self.chosen += 1

    def call(self, method, **params):
        """Returns the result of a method of the protocol."""
        number, until = self._send(method, params, self._session), time.monotonic() + SECONDS
        while message := self._receive(until):
            if message.get("id") != number:
                self._note(message)
                continue
            if "error" in message:
                raise RuntimeError(f"{method}: {message['error']}")
            return message["result"]
        raise TimeoutError(method)

    def open(self, page):
        """Opens a file and waits until it is loaded."""
        self.call("Page.navigate", url=page.as_uri())
        self.wait("document.readyState === 'complete'")

    def run(self, script):
        """Returns the value of an expression of JavaScript, which may be a promise."""
        options = {"awaitPromise": True, "returnByValue": True, "userGesture": True}
        done = self.call("Runtime.evaluate", expression=script, **options)
        if "exceptionDetails" in done:
            raise RuntimeError(json.dumps(done["exceptionDetails"])[:2000])
        return done["result"].get("value")

    def wait(self, condition, seconds=SECONDS):
        """Waits until an expression of JavaScript is true."""
        until = time.monotonic() + seconds
        while not self.run(condition):
            if time.monotonic() > until:
                raise TimeoutError(f"{condition}; {self.messages[-3:]}")
            time.sleep(0.05)

    def await_chooser(self):
        """Waits until a file chooser was opened."""
        until = time.monotonic() + SECONDS
        while not self.chosen:
            message = self._receive(until)
            if message is None:
                raise TimeoutError("no file chooser was opened")
            self._note(message)

    def choose(self, selector, files):
        """Puts files into a file input, as its dialogue does."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def press(self, key, code=0, text=""):
        """Presses a key."""
        named = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", **named, text=text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **named)

    def look(self, path, *, width=1280, height=900, dark=False, phone=False):
        """Writes a picture of the whole page."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[theme])
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextlib.contextmanager
def open_tab(folder):
    """Yields a page of a new Chromium, whose profile is in a folder."""
    from_us, to_it = os.pipe()
    from_it, to_us = os.pipe()
    command = ["bash", "-c", f'exec "$@" 3<&{from_us} 4>&{to_us}', "bash", "chromium", *FLAGS]
    command += [f"--user-data-dir={folder / 'profile'}", "about:blank"]
    with (folder / "chromium.log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, pass_fds=(from_us, to_us), start_new_session=True
        )
    os.close(from_us)
    os.close(to_us)
    try:
        yield Tab(to_it, from_it)
    finally:
        os.close(to_it)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if process.poll() is None:
            os.killpg(process.pid, 9)
            process.wait()
        os.close(from_it)
