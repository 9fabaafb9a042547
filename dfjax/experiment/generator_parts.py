"""The parts of a run that only generators have: discriminator, its optimiser, fixed networks."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax
from jaxtyping import Array, Key
from ml_collections import ConfigDict

from dfjax import precision
from dfjax.data.transforms.preprocess import make_pair_preprocess
from dfjax.errors import UsageError
from dfjax.experiment import builders
from dfjax.experiment.generator_check import discriminator_options
from dfjax.experiment.generator_objective import make_generator_objective
from dfjax.losses.adversarial import find_adversarial
from dfjax.models import ModelFns, build
from dfjax.models.registry import input_shapes
from dfjax.ops.lowering import resolve
from dfjax.shapes import Inputs, Preprocess, Variables
from dfjax.training.gan_step import GanStep, Networks
from dfjax.training.optimizers import make_tx
from dfjax.training.sharding import AXES, BATCH_AXES
from dfjax.training.state import TrainState, make_init_state


class Adversary(NamedTuple):
    """What a generator is trained with besides its own parts.

    Attributes:
        discriminator: Discriminator.
        tx: Gradient transformation of the discriminator.
        frozen: Variables of the fixed networks of the loss, by the name of their term.
        notes: Lines about the fixed networks, for the log.
    """

    discriminator: ModelFns
    tx: optax.GradientTransformation
    frozen: dict[str, Any]
    notes: list[str]


class Task(NamedTuple):
    """What a model is trained to do.

    Attributes:
        preprocess: Function that turns a batch into the inputs of the model or, for a generator,
            into `source`, `target` and `mask`.
        objective: Function that computes the terms of the loss, or the loss of a generator.
        init: Pure function `init_state(root_rng, batch) -> TrainState`.
        adversary: Discriminator of a generator; None for detectors.
    """

    preprocess: Preprocess
    objective: Any
    init: Callable[..., TrainState]
    adversary: Adversary | None = None


def make_discriminator(config: ConfigDict, *, platform: str = "") -> ModelFns:
    """Returns the discriminator that `model.discriminator` names.

    Args:
        config: Config of the run.
        platform: Platform that it is to run on; empty for that of this process.

    Raises:
        UsageError: The model is unknown, or has no patch logits.
    """
    name, options = config.model.discriminator, discriminator_options(config)
    lowering = resolve(config.lowering, batch_on_every_axis=BATCH_AXES == AXES, platform=platform)
    dtype = precision.compute_dtype(config.precision)
    model = build(name, lowering=lowering, dtype=dtype, **options)

    def run(rng: Key[Array, ""], inputs: Inputs) -> dict[str, Array]:
        return model.apply(model.init(rng, inputs), inputs, train=False, rngs=None)[1]

    inputs = input_shapes(name, config.preprocess.size, 1, 1, **options)
    if "patch_logits" not in jax.eval_shape(run, jax.random.key(0), inputs):
        raise UsageError(f"model.discriminator={name} has no logit per patch: use patch_gan")
    return model


def make_adversary_tx(config: ConfigDict, schedule: optax.Schedule) -> optax.GradientTransformation:
    """Returns the optimiser of the discriminator.

    It has the options of the generator's but those by path, which name the generator's parameters.
    """
    by_path = ("freeze", "multipliers")
    options = builders.tx_options(config)
    return make_tx(schedule=schedule, **{k: v for k, v in options.items() if k not in by_path})


def make_generator_task(
    config: ConfigDict,
    generator: ModelFns,
    tx: optax.GradientTransformation,
    schedule: optax.Schedule,
    *,
    platform: str = "",
) -> Task:
    """Returns the preprocessing, loss, initialisation and discriminator of a generator.

    Args:
        config: Config of the run.
        generator: Generator.
        tx: Gradient transformation of the generator.
        schedule: Learning-rate schedule.
        platform: Platform that the step is to run on; empty for that of this process.

    Raises:
        UsageError: A network is unknown, cannot be read or does not fit.
    """
    preprocess = make_pair_preprocess(
        builders.make_config_preprocess(config), stride=config.data.stride
    )
    objective = make_generator_objective(config, platform=platform)
    adversary = Adversary(
        make_discriminator(config, platform=platform),
        make_adversary_tx(config, schedule),
        objective.frozen,
        objective.notes,
    )

    def show(inputs: Inputs) -> Inputs:
        return {"rgb": inputs["source"], "mask": inputs["mask"]}

    def init(rng: Key[Array, ""], inputs: Inputs) -> Variables:
        return generator.init(rng, show(inputs))

    def init_adversary(rng: Key[Array, ""], inputs: Inputs) -> dict[str, Any]:
        variables = adversary.discriminator.init(rng, show(inputs))
        return {**variables, "opt_state": adversary.tx.init(variables["params"])}

    averaged = config.train.ema_decay > 0
    init_state = make_init_state(init, preprocess, tx, ema=averaged, adversary=init_adversary)
    return Task(preprocess, objective.loss, init_state, adversary)


def make_generator_step(
    config: ConfigDict,
    generator: ModelFns,
    task: Task,
    tx: optax.GradientTransformation,
    shardings: TrainState,
) -> GanStep:
    """Returns the training step of a generator.

    Args:
        config: Config of the run.
        generator: Generator.
        task: Preprocessing, loss and discriminator, from `make_generator_task`.
        tx: Gradient transformation of the generator.
        shardings: Sharding of each leaf of the training state.
    """
    assert task.adversary is not None, "detectors have another step"
    networks = Networks(
        generate=generator.apply,
        discriminate=task.adversary.discriminator.apply,
        preprocess=task.preprocess,
        objective=task.objective,
        adversarial=find_adversarial(config.loss.adversarial.kind),
        r1=config.loss.adversarial.r1,
        freeze=config.optimizer.freeze,
    )
    return GanStep(
        networks,
        tx,
        task.adversary.tx,
        parts=config.train.accumulate,
        shardings=shardings,
        ema_decay=config.train.ema_decay,
        clip_norm=config.optimizer.clip_norm,
    )
