"""Compiled programs are kept in the user's cache folder, never in a workdir."""

import jax
import pytest

from dfjax.experiment.compilation_cache import use_compilation_cache


@pytest.fixture
def unset():
    """JAX's settings without a cache, and as before at the end."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: jax.config.values[name] for name in names}
    jax.config.update(names[0], None)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def test_the_folder_is_the_user_s(unset, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    use_compilation_cache()
    folder = tmp_path / "dfjax" / "jax"
    assert jax.config.values["jax_compilation_cache_dir"] == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_is_set_stays(unset, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    jax.config.update("jax_compilation_cache_dir", "/chosen")
    use_compilation_cache()
    assert jax.config.values["jax_compilation_cache_dir"] == "/chosen"
    assert not any(tmp_path.iterdir())


def test_where_no_folder_can_be_made_nothing_is_kept_and_that_is_said(
    unset, monkeypatch, tmp_path, capsys
):
    (tmp_path / "dfjax").touch()  # a file in the way
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    use_compilation_cache()
    assert jax.config.values["jax_compilation_cache_dir"] is None
    assert "compiled programs are not kept" in capsys.readouterr().err


def test_the_cache_of_an_old_workdir_is_ignored_and_that_is_said(
    unset, monkeypatch, tmp_path, capsys
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    workdir = tmp_path / "run"
    (workdir / "jax_cache").mkdir(parents=True)
    (workdir / "jax_cache" / "jit_step-cache").write_bytes(b"a program of somebody else")
    use_compilation_cache(workdir)
    folder = tmp_path / "home" / "dfjax" / "jax"
    assert jax.config.values["jax_compilation_cache_dir"] == str(folder)
    said = capsys.readouterr().err
    assert f"{workdir / 'jax_cache'} is ignored" in said and said.count("\n") == 1
    use_compilation_cache(tmp_path / "another")
    assert capsys.readouterr().err == ""
