"""The size of the model of a config (parameters of each phase, input, FLOPs) and its diagram."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict
from rich.table import Table

from dfjax.config import model_options
from dfjax.experiment.builders import config_adapter, frozen_patterns
from dfjax.experiment.phases import plan_phases
from dfjax.files import write_text
from dfjax.models.adapters import Adapter, init_adapters
from dfjax.models.diagram import make_svg
from dfjax.models.entry import ADAPTERS, Summary
from dfjax.models.registry import full_options
from dfjax.models.summary import compute_summary, count
from dfjax.outputs import check_outputs
from dfjax.results import Result
from dfjax.training.optimizers import match_frozen


class PhaseSize(NamedTuple):
    """Numbers of trained and of fixed parameters in a phase of training.

    Attributes:
        trainable: Number of parameters that are trained.
        non_trainable: Number of frozen parameters and running statistics.
        parts: Number of trained parameters of each top-level part of the model.
    """

    trainable: int
    non_trainable: int
    parts: dict[str, int]


class ModelSize(NamedTuple):
    """Size of the model of a config.

    Attributes:
        summary: Parameters, input and FLOPs of the first phase.
        phases: Numbers of parameters in each phase; a config without `phases` has one phase.
    """

    summary: Summary
    phases: list[PhaseSize]

    def to_json(self) -> dict[str, Any]:
        """Returns the numbers of the first phase by name, and the counts of every phase."""
        content: dict[str, Any] = {
            **self.phases[0]._asdict(), "input": self.summary.input, "flops": self.summary.flops
        }  # fmt: skip
        if len(self.phases) > 1:
            keys = ("trainable", "non_trainable")
            content["phases"] = [{key: getattr(size, key) for key in keys} for size in self.phases]
        return content


@dataclass(frozen=True)
class ModelSizes(Result):
    """Sizes of the models of configs.

    Attributes:
        sizes: Size of each model, by the name of its config.
    """

    sizes: dict[str, ModelSize]

    def describe(self) -> list[Table]:
        """Returns a table of the sizes and, for a single model, a table of its parts."""
        return make_tables(self.sizes)

    def to_json(self) -> dict[str, Any]:
        """Returns the sizes as `dfjax models --json` prints them."""
        return {name: size.to_json() for name, size in self.sizes.items()}


def compute_model_sizes(configs: Mapping[str, ConfigDict]) -> ModelSizes:
    """Returns the sizes of the models of several configs.

    Args:
        configs: Configs by name.

    Raises:
        UsageError: As `compute_model_size`.
    """
    return ModelSizes({name: compute_model_size(config) for name, config in configs.items()})


def compute_model_size(config: ConfigDict) -> ModelSize:
    """Returns the size of the model of `config`, for clips of the size in the config.

    Raises:
        UsageError: The config cannot be used, or a pattern of `optimizer.freeze` matches no
            parameter.
    """
    summary = compute_summary(
        config.model.name,
        size=config.preprocess.size,
        frames=config.data.frames,
        options=model_options(config).to_dict(),
    )
    configs = [phase.config for phase in plan_phases(config, Path())]
    summaries = [_add_adapters(summary, config_adapter(phase)) for phase in configs]
    return ModelSize(summaries[0], list(map(_count_phase, configs, summaries)))


def _add_adapters(summary: Summary, adapter: Adapter) -> Summary:
    """Returns the summary with the parameters of adapters, which are a part of their own."""
    if adapter.name == "none":
        return summary
    params = summary.variables["params"]
    rng = jax.eval_shape(lambda: jax.random.key(0))
    added = jax.eval_shape(functools.partial(init_adapters, adapter=adapter), rng, params)
    return summary._replace(
        parameters=summary.parameters + count(added),
        parts=summary.parts | {ADAPTERS: count(added)},
        variables={**summary.variables, "params": {**params, ADAPTERS: added}},
    )


def _count_phase(config: ConfigDict, summary: Summary) -> PhaseSize:
    params = summary.variables["params"]
    frozen = match_frozen(params, frozen_patterns(config))
    trained = jax.tree.map(lambda leaf, is_frozen: () if is_frozen else leaf, params, frozen)
    parts = {name: count(part) for name, part in trained.items()}
    total = sum(parts.values())
    return PhaseSize(total, summary.parameters - total + summary.statistics, parts)


def draw_model(title: str, config: ConfigDict, summary: Summary) -> str:
    """Returns the diagram of the model of `config` as SVG text.

    Args:
        title: Title of the diagram.
        config: Config of the run.
        summary: Summary of the model.
    """
    options = full_options(config.model.name, model_options(config).to_dict())
    return make_svg(title, config.model.name, options, summary)


def write_diagram(path: Path, title: str, config: ConfigDict, summary: Summary) -> None:
    """Writes `draw_model` to a file.

    Raises:
        UsageError: The file exists and dfjax did not write it.
    """
    check_outputs([path])
    write_text(path, draw_model(title, config, summary))


def make_tables(sizes: Mapping[str, ModelSize]) -> list[Table]:
    """Returns the sizes of models as a table and, for a single one, a table of its parts."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("config")
    for title in ("trainable", "non-trainable", "input", "GFLOPs"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, (summary, phases) in sizes.items():
        later = [f"  phase {number}" for number in range(2, len(phases) + 1)]
        table.add_row(
            "\n".join([name, *later]),
            "\n".join(f"{phase.trainable:,}" for phase in phases),
            "\n".join(f"{phase.non_trainable:,}" for phase in phases),
            "\n".join("x".join(map(str, shape[1:])) for shape in summary.input.values()),
            f"{summary.flops / 1e9:.2f}",
        )
    if len(sizes) > 1:
        return [table]
    parts = Table(box=None, show_header=False, pad_edge=False)
    parts.add_column()
    parts.add_column(justify="right")
    (size,) = sizes.values()
    for name, parameters in size.summary.parts.items():
        parts.add_row(f"  {name}", f"{parameters:,}")
    return [table, parts]
