"""The state that a run starts from: its last checkpoint, another run's parameters, or chance."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from dfjax.errors import UsageError
from dfjax.experiment import workdir as workdirs
from dfjax.experiment.config_check import UNFREEZE
from dfjax.experiment.frozen_backbone import open_backbone
from dfjax.experiment.parts import Parts
from dfjax.models.frame_features import BACKBONE, join
from dfjax.shapes import Variables
from dfjax.training.checkpoint import Checkpoints, as_template
from dfjax.training.loop import RunState
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
    must_load: Sequence[str] = (),
) -> tuple[TrainState, RunState]:
    """Returns the state to go on from, the last checkpoint's or a fresh one, and its position.

    Args:
        parts: Parts of the run.
        checkpoints: Checkpoints of its workdir.
        say: Function that shows one line.
        monitors: Monitors by name; their state is restored from the checkpoint.
        init_from: A workdir, whose best checkpoint gives a fresh state its parameters and
            statistics (for a head on stored features, those of its backbone too), or a safetensors
            file of them or of the backbone alone; empty: all of them are drawn at random.
        must_load: Patterns of parameters that `init_from` has to have, such as the frozen ones.

    Raises:
        UsageError: No checkpoint can be read, or `init_from` does not fit or lacks parameters.
    """
    template = as_template(parts.shapes, parts.shardings).to_items()
    restored = checkpoints.restore_last(template, warn=say)
    if restored:
        items, saved = restored
        for name, monitor in monitors.items():
            monitor.load_state(saved[name])
        return TrainState.from_items(items), RunState(**saved["run"])
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), parts.example)
    # On CPU most of this program's time is its compilation, and it runs once.
    cheap = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    init = jax.jit(parts.init, out_shardings=parts.shardings, compiler_options=cheap)
    state = init(parts.root_rng, zeros)
    if init_from:
        state = _take_over(state, parts, Path(init_from), say, must_load)
    return state, RunState()


def _take_over(
    state: TrainState,
    parts: Parts,
    source: Path,
    say: Callable[[str], None],
    must_load: Sequence[str],
) -> TrainState:
    """The fresh state with the parameters and statistics that `source` gives."""
    if source.suffix == ".safetensors":
        variables, origin = _read_file(source, state.params), str(source)
    else:
        variables, origin = _read_best(source, state.params)
    own = {"params": state.params, "batch_stats": state.batch_stats}
    merged = merge(own, variables, source=f"train.init_from={source}")
    missing = _select(merged.kept, must_load)
    if missing:
        raise UsageError(
            f"{origin} lacks {_list(missing)}, which optimizer.freeze would keep at random values. "
            + UNFREEZE
        )
    say(f"parameters start from {origin}")
    if merged.kept:
        say(f"warning: {_list(merged.kept)} are not there and start at random")
    if merged.left_out:
        say(f"warning: {_list(merged.left_out)} of it have no place in this model")
    shardings = parts.shardings
    params = jax.device_put(merged.variables["params"], shardings.params)
    return state.replace(
        params=params,
        batch_stats=jax.device_put(merged.variables["batch_stats"], shardings.batch_stats),
        ema=jax.tree.map(jnp.copy, params) if state.ema else state.ema,
    )


def _read_file(path: Path, own: Mapping[str, Any]) -> Variables:
    """The content of a safetensors file; that of a backbone alone goes to the model's backbone."""
    variables, _ = load_safetensors(path)
    if BACKBONE in own and not variables["params"].keys() & own.keys():
        return {name: {BACKBONE: tree} for name, tree in variables.items()}
    return variables


def _read_best(workdir: Path, own: Mapping[str, Any]) -> tuple[Variables, str]:
    """The best checkpoint of another run, and its name.

    A run on stored features gives the backbone that computed them too, where there is one here.
    """
    config = workdirs.load(workdir)  # says so when it is no workdir, before a folder is made there
    others = Checkpoints(workdir)
    try:
        step, variables = others.restore_variables("best")
    finally:
        others.close()
    if config.data.features and BACKBONE in own:
        variables = join(variables, open_backbone(workdir).variables)
    return variables, f"{workdir}, best/{step}"


def _select(paths: Sequence[str], patterns: Sequence[str]) -> tuple[str, ...]:
    """The paths of parameters, with `params/` before them, that match one of the patterns."""
    names = [path.removeprefix("params/") for path in paths if path.startswith("params/")]
    return tuple(n for n in names if any(re.search(pattern, n) for pattern in patterns))


def _list(paths: tuple[str, ...]) -> str:
    shown = ", ".join(paths[:4])
    return shown if len(paths) <= 4 else f"{shown} and {len(paths) - 4} more"
