"""Opens a page in headless Chromium: pictures, console messages and requests."""

import json
import re
import subprocess

NONE = "not an origin"
"""Initiator, in Chromium's log, of its own requests, such as those for updates."""


def look(page, folder, *, width=1280, height=1400, dark=False):
    """Returns the picture of a page, its console messages and the addresses that it asked for."""
    picture, log = folder / f"{width}-{'dark' if dark else 'light'}.png", folder / "net.json"
    command = [
        "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}", f"--window-size={width},{height}",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}", "--enable-logging=stderr",
        "--disable-background-networking", "--disable-component-update", "--no-first-run",
        f"--log-net-log={log}", f"--screenshot={picture}", page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    messages = re.findall(r":CONSOLE[:(].*", done.stderr)
    events = [event.get("params", {}) for event in json.loads(log.read_text())["events"]]
    asked = {e["url"] for e in events if e.get("initiator", NONE) != NONE and "url" in e}
    return picture, messages, sorted(asked)
