"""The persistent cache of compiled programs, in the user's own cache folder."""

import os
from pathlib import Path

import jax

MIN_COMPILE_SECONDS = 2.0  # cheaper programs are compiled again


def use_compilation_cache() -> None:
    """Keeps compiled programs in the user's cache folder, so that the next run starts at once.

    A cached program is executed as it is, so the folder must belong to the user: never a workdir,
    which may come from somebody else. A folder that the user has chosen, by
    `JAX_COMPILATION_CACHE_DIR` or in `jax.config`, is left in place.
    """
    if jax.config.values["jax_compilation_cache_dir"]:  # the environment variable included
        return
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = home / "dfjax" / "jax"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", MIN_COMPILE_SECONDS)
