"""Names the folders of dfjax in the cache folder of the user."""

import os
from pathlib import Path


def user_cache(name: str) -> Path:
    """Returns a folder of dfjax in the user's cache folder, which may not exist yet.

    The cache folder is `XDG_CACHE_HOME`, or else `~/.cache`.

    Args:
        name: What the folder holds: `jax` (compiled programs) or `weights` (fetched files).
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "dfjax" / name
