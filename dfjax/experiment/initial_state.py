"""The initial state of a run: its last checkpoint, or a new state with loaded or random values."""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dfjax import processes
from dfjax.errors import UsageError
from dfjax.experiment import workdir as workdirs
from dfjax.experiment.builders import config_adapter
from dfjax.experiment.config_check import UNFREEZE
from dfjax.experiment.frozen_backbone import open_backbone
from dfjax.experiment.initial_backbones import InitialFile, load_backbones
from dfjax.experiment.parts import Parts
from dfjax.models.adapters import Adapter, init_adapters, merge_variables
from dfjax.models.entry import ADAPTERS
from dfjax.models.frame_features import BACKBONE, join
from dfjax.rngs import make_rng
from dfjax.shapes import Variables
from dfjax.training.checkpoint import Checkpoints
from dfjax.training.run_state import RUN_SCHEMA, RunState
from dfjax.training.sharding import as_template
from dfjax.training.state import TrainState
from dfjax.training.stopping import Monitor
from dfjax.weights.merge import merge
from dfjax.weights.safetensors_file import load_safetensors


def start(
    parts: Parts,
    checkpoints: Checkpoints,
    say: Callable[[str], None],
    monitors: Mapping[str, Monitor],
    init_from: str,
    files: Sequence[InitialFile] = (),
    must_load: Sequence[str] = (),
) -> tuple[TrainState, RunState]:
    """Returns the state and position to start from: the last checkpoint or a new state.

    Args:
        parts: Parts of the run.
        checkpoints: Checkpoints of the workdir.
        say: Function that prints one line.
        monitors: Monitors by name; their state is restored from the checkpoint.
        init_from: Source of the variables of a new state: a workdir, whose best checkpoint is used
            (with the backbone of its stored features, if it has them), or a safetensors file with
            the variables of the model or of its backbone. If empty, all variables are random.
        files: Files that the backbones of a new state start from, in place of `init_from`.
        must_load: Patterns of parameters that must be loaded, such as the frozen ones.

    Raises:
        UsageError: No checkpoint can be read, or `init_from` or a file does not fit the model or
            lacks parameters.
    """
    template = as_template(parts.shapes, parts.shardings).to_items()
    restored = checkpoints.restore_last(template, warn=say, schema=RUN_SCHEMA)
    if restored:
        items, saved = restored
        for name, monitor in monitors.items():
            monitor.load_state(saved[name])
        return TrainState.from_items(items), RunState(**saved["run"])
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), parts.example)
    # The program runs once; on CPU compiling it would take longer than running it.
    on_cpu = jax.default_backend() == "cpu"
    compiler_options = {"xla_backend_optimization_level": 0} if on_cpu else None
    init = jax.jit(parts.init, out_shardings=parts.shardings, compiler_options=compiler_options)
    state = processes.compile_together(init)(parts.root_rng, zeros)
    if init_from:
        loaded = _read_run(Path(init_from), state.params, parts.adapter, say)
        state = _take_over(state, parts, loaded, say, must_load)
    elif files:
        state = _take_over(state, parts, _read_backbones(files, state), say, must_load)
    return state, RunState()


class Loaded(NamedTuple):
    """Variables that a new state starts from, their origin, and the setting that names it."""

    variables: Variables
    origin: str
    setting: str


def _take_over(
    state: TrainState,
    parts: Parts,
    loaded: Loaded,
    say: Callable[[str], None],
    must_load: Sequence[str],
) -> TrainState:
    """Returns the new state with the parameters and statistics that were loaded."""
    own, shardings = _variables(state), parts.shardings
    refit = ADAPTERS in own["params"] and ADAPTERS not in loaded.variables["params"]
    if refit:  # the adapters are made from the loaded kernels
        own["params"] = {k: v for k, v in own["params"].items() if k != ADAPTERS}
    merged = merge(own, loaded.variables, source=loaded.setting)
    missing = _select(merged.kept, must_load)
    if missing:
        raise UsageError(
            f"{loaded.origin} lacks {_list(missing)}, which optimizer.freeze would freeze at "
            f"random values. {UNFREEZE}"
        )
    say(f"initial parameters are loaded from {loaded.origin}")
    if merged.kept:
        say(f"warning: it lacks {_list(merged.kept)}, which are initialised at random")
    if merged.left_out:
        say(f"warning: {_list(merged.left_out)} of it are not used, since this model lacks them")
    places = {name: shardings.params[name] for name in own["params"]}
    params = jax.tree.map(_place, merged.variables["params"], places)
    if refit:
        params[ADAPTERS] = _fit_adapters(params, parts)
    return state.replace(
        params=params,
        batch_stats=jax.tree.map(_place, merged.variables["batch_stats"], shardings.batch_stats),
        ema=jax.tree.map(jnp.copy, params) if state.ema else state.ema,
    )


def _fit_adapters(params: Any, parts: Parts) -> Any:
    """Returns the first parameters of the adapters of loaded kernels."""
    shardings = parts.shardings.params[ADAPTERS]
    fit = jax.jit(functools.partial(init_adapters, adapter=parts.adapter), out_shardings=shardings)
    return processes.compile_together(fit)(make_rng(parts.root_rng, "adapters", 0), params)


def _place(leaf: Any, sharding: jax.sharding.Sharding) -> jax.Array:
    """Returns an array on the devices of the run. All processes have loaded the same values."""
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        return leaf  # of the new state
    values = np.asarray(leaf)
    return jax.make_array_from_callback(values.shape, sharding, lambda part: values[part])


def _variables(state: TrainState) -> dict[str, Any]:
    return {"params": state.params, "batch_stats": state.batch_stats}


def _read_backbones(files: Sequence[InitialFile], state: TrainState) -> Loaded:
    origin = ", ".join(f"{file.path} ({file.part.part})" for file in files)
    setting = " ".join(f"{file.key}={file.path}" for file in files)
    return Loaded(load_backbones(files, _variables(state)), origin, setting)


def _read_run(
    source: Path, own: Mapping[str, Any], adapter: Adapter, say: Callable[[str], None]
) -> Loaded:
    """Returns the variables of another run or of a safetensors file."""
    setting = f"train.init_from={source}"
    if source.suffix == ".safetensors":
        return Loaded(_read_file(source, own), str(source), setting)
    return Loaded(*_read_best(source, own, adapter, say), setting)


def _read_file(path: Path, own: Mapping[str, Any]) -> Variables:
    """Returns the variables in a safetensors file; those of a backbone are nested accordingly."""
    variables, _ = load_safetensors(path)
    if BACKBONE in own and not variables["params"].keys() & own.keys():
        return {name: {BACKBONE: tree} for name, tree in variables.items()}
    return variables


def _read_best(
    workdir: Path, own: Mapping[str, Any], adapter: Adapter, say: Callable[[str], None]
) -> tuple[Variables, str]:
    """Returns the variables of the best checkpoint of another run, and its name.

    For a run on stored features they include those of the backbone, if the model has one.
    """
    config = workdirs.load(workdir)  # raises an error if it is no workdir
    others = Checkpoints(workdir, read_only=True)
    try:
        step, variables = others.restore_variables("best", warn=say)
    finally:
        others.close()
    theirs = config_adapter(config)
    if not (theirs.alpha == adapter.alpha and _have_same_adapters(own, variables["params"])):
        variables = merge_variables(variables, theirs)
    if config.data.features and BACKBONE in own:
        variables = join(variables, open_backbone(workdir).variables)
    return variables, f"{workdir}, best/{step}"


def _have_same_adapters(own: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    """Returns whether two trees of parameters have adapters of the same kernels and shapes."""
    mine, theirs = (jax.tree.map(np.shape, params.get(ADAPTERS)) for params in (own, others))
    return bool(mine == theirs)


def _select(paths: Sequence[str], patterns: Sequence[str]) -> tuple[str, ...]:
    """Returns the paths, without their collection, that match one of the patterns."""
    names = [path.partition("/")[2] for path in paths]
    return tuple(n for n in names if any(re.search(pattern, n) for pattern in patterns))


def _list(paths: tuple[str, ...]) -> str:
    shown = ", ".join(paths[:4])
    return shown if len(paths) <= 4 else f"{shown} and {len(paths) - 4} more"
