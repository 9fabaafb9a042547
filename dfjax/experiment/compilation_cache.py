"""The persistent compilation cache, in the cache folder of the user."""

import errno
import os
from pathlib import Path

import jax

from dfjax.console import say
from dfjax.user_cache import user_cache

OLD_CACHE = "jax_cache"  # in the workdirs of earlier versions
MIN_COMPILE_SECONDS = 2.0  # programs that compile faster are not cached


def use_compilation_cache(workdir: Path | None = None) -> None:
    """Makes JAX cache compiled programs in the cache folder of the user.

    Cached programs are executed without checks, so the folder must belong to the user; a workdir
    may come from somebody else. A folder that is already set, by `JAX_COMPILATION_CACHE_DIR` or in
    `jax.config`, is kept.

    Args:
        workdir: Workdir that is used. The cache that earlier versions kept in it is ignored, which
            is said.
    """
    if workdir is not None and (workdir / OLD_CACHE).exists():
        say(
            f"note: {workdir / OLD_CACHE} is ignored: an earlier version kept compiled programs "
            "there, and programs in a workdir are never run. You can delete it"
        )
    if jax.config.values["jax_compilation_cache_dir"]:  # the environment variable included
        return
    folder = user_cache("jax")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.stat().st_uid != os.getuid():
            raise PermissionError(errno.EPERM, "it belongs to another user")
    except OSError as error:  # such as a service account, whose home cannot be written
        say(f"dfjax: compiled programs are not kept: {folder}: {error.strerror}")
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", MIN_COMPILE_SECONDS)
