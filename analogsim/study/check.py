"""What can only be judged with the data at hand, before anything runs: whether networks fit, and what arms may do."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from analogsim.errors import AnalogsimError, ScenarioError
from analogsim.learning.controller import require_access, require_derivatives
from analogsim.network import Network, Softmax
from analogsim.port import Access
from analogsim.study.claim_faults import claim_faults
from analogsim.study.population import lay_out
from analogsim.study.profiles import profiles_of
from analogsim.study.schema import ArmBase, Scenario
from analogsim.study.stages import StagePlan, last_learning, stages_of
from analogsim.study.timeline_faults import unfit_events
from analogsim.tasks import DataSet
from device_models.errors import bulleted
from device_models.units import Each


def check(scenario: Scenario, data: DataSet, where: str | None = None) -> None:
    """What can only be judged with the data at hand, and what each arm may do.

    Args:
        scenario: resolved.
        data: its data set.
        where: what to call the scenario in messages; by its name unless given.

    Raises:
        ScenarioError: listing every fault.
    """
    found: list[str] = []
    network: Network | None = None
    try:
        network = scenario.network.build(data.input_shape)
    except ValueError as error:
        found.append(str(error))
    else:
        found += _unfit(scenario, network, data)
    if scenario.data.batch > len(data.train_inputs):
        found.append(
            f"data.batch: must not be above the {len(data.train_inputs)} training samples of {scenario.data.set} "
            f"(got {scenario.data.batch})"
        )
    if scenario.train.metrics and not 2 <= scenario.train.metrics_batch <= len(data.train_inputs):
        found.append(
            f"train.metrics_batch: must lie between 2 and the {len(data.train_inputs)} training samples of "
            f"{scenario.data.set} (got {scenario.train.metrics_batch})"
        )
    if scenario.data.loss == "cross_entropy" and not data.classes:
        found.append(f"data.loss: cross_entropy is of classes, and {scenario.data.set} has none; choose squared")
    found += claim_faults(scenario, data.classes)
    found += unfit_events(scenario, data)
    if scenario.train.tune is not None:
        left = len(data.train_inputs) - scenario.train.tune.validation
        if left < scenario.data.batch:
            found.append(
                f"train.tune.validation: holding out {scenario.train.tune.validation} of "
                f"{len(data.train_inputs)} training samples leaves no batch of {scenario.data.batch}"
            )
    for name, arm in scenario.arms.items():
        plans = stages_of(scenario, arm)
        found += _moved_r(plans, f"arms.{name}")
        for index, plan in enumerate(plans):
            place = f"arms.{name}.stages.{index}" if len(plans) > 1 else f"arms.{name}"
            found += _stage_faults(scenario, plan, place, network, index == last_learning(plans))
            found += _late_losses(plan, place, plan.epochs * (len(data.train_inputs) // scenario.data.batch))
        try:
            lay_out(scenario, arm)
        except AnalogsimError as error:
            found.append(f"arms.{name}: {error}")
    if found:
        called = where or f"scenario {scenario.name}"
        raise ScenarioError(bulleted(f"{called} cannot be run:", list(dict.fromkeys(found))))


def _stage_faults(
    scenario: Scenario, plan: StagePlan, where: str, network: Network | None, tuned: bool
) -> Iterator[str]:
    """What one stage cannot do; `tuned`: its learning rate is what `train.tune` searches."""
    depth = scenario.network.depth
    for index, profile in enumerate(profiles_of(plan.chip, depth)):
        dac, place = profile.dac, f"chip.layers.{index}" if index in plan.chip.layers else "chip"
        if dac is not None and dac.scaling == "fixed" and dac.range < 1 and scenario.network.bias:
            yield (
                f"{where + '.' if plan.ex_situ else ''}{place}.profile.dac.range: clips the bias row, which is driven "
                f"with 1 (got {dac.range:g}); choose at least 1, or network.bias: false"
            )
    arm = plan.arm
    if not plan.learns:
        return
    if scenario.train.tune is not None and isinstance((arm.optimizer or scenario.train.optimizer).lr, Each):
        yield f"{where}: its learning rate is both an axis and searched by train.tune; choose one"
    gains = None if arm.weight_normalisation is None else arm.weight_normalisation.gains
    if gains is not None and len(gains) != depth:
        yield f"{where}.weight_normalisation.gains: must be one for each of the {depth} layers (got {len(gains)})"
    rate = (arm.optimizer or scenario.train.optimizer).lr
    largest = max(rate.values if isinstance(rate, Each) else [rate])
    if scenario.train.tune is not None and tuned:
        largest = max(scenario.train.tune.lr)
    yield from _companion_faults(arm, where, depth, largest)
    if arm.rule == "matching":
        yield from _unmatched(arm, where, rate if scenario.train.tune is None or not tuned else None)
    try:
        rule = arm.build_rule()
        require_access(rule, plan.grants, arm.decorrelation is not None)
        yield from _cannot_write_back(scenario, plan, where, rule.requires)
        if network is not None:
            require_derivatives(rule, network, plan.grants)
            rule.plan(network)
    except (AnalogsimError, ValueError) as error:
        yield f"{where}: {error}"


def _cannot_write_back(scenario: Scenario, plan: StagePlan, where: str, needed: Access) -> Iterator[str]:
    """Weights that pulses have moved and that are perturbed by writes."""
    writing = (plan.arm.optimizer or scenario.train.optimizer).writing
    if Access.WEIGHT_INJECTION not in needed or writing == "absolute":
        return
    if not all(profile.weight_perturbation.path for profile in profiles_of(plan.chip, scenario.network.depth)):
        yield (
            f"{where}: {plan.arm.rule} perturbs weights by writes, and nobody knows what to write back where pulses "
            f"move them (got optimizer {writing}); give chip.overrides `weight_perturbation: {{path: true}}`, or an "
            "optimiser that writes absolutely"
        )


def _unfit(scenario: Scenario, network: Network, data: DataSet) -> Iterator[str]:
    """Faults of a network's outputs."""
    if network.outputs != data.outputs:
        yield (
            f"network.layers: the last layer must have the {data.outputs} outputs of {scenario.data.set} "
            f"(got {network.outputs})"
        )
    readout = any(isinstance(operation, Softmax) for operation in network.layers[-1].after)
    if readout and scenario.data.loss == "cross_entropy":
        yield (
            "data.loss: cross_entropy takes the softmax itself, so the network must not end with another; "
            "remove softmax from network.layers, or choose squared"
        )


def _late_losses(plan: StagePlan, where: str, steps: int) -> Iterator[str]:
    """Losses that arrive after the last of `steps` steps."""
    channel = plan.arm.loss_channel
    if plan.learns and channel is not None and 0 < steps <= channel.delay:
        yield (
            f"{where}.loss_channel.delay: must be below the {steps} steps of training, or no loss arrives "
            f"(got {channel.delay})"
        )


def _unmatched(arm: ArmBase, where: str, rate: float | Each[float] | None) -> Iterator[str]:
    """B of `matching` has to decay as the weights do; `rate`: of learning, None where it is searched."""
    strength = 0.0 if arm.weight_decay is None else arm.weight_decay.strength
    decay = getattr(arm, "decay", 0.0)
    wanted = strength * rate if isinstance(rate, float | int) else None if strength else 0.0
    if wanted is None:
        yield (
            f"{where}: matching decays B at one rate, so with weight_decay it takes one learning rate, neither "
            "searched nor an axis"
        )
    elif not math.isclose(decay, wanted, rel_tol=1e-9):
        yield (
            f"{where}.decay: must be the learning rate times weight_decay.strength, {wanted:g}, so that B decays as "
            f"the weights do (got {decay:g})"
        )


def _moved_r(plans: Sequence[StagePlan], where: str) -> Iterator[str]:
    """R that would leave its crossbars, and their noise, from one stage to the next."""
    place = None
    for index, plan in enumerate(plans):
        if plan.learns and plan.arm.decorrelation is not None:
            here = plan.arm.decorrelation.where
            if place == "crossbar" and here != place:
                yield (
                    f"{where}.stages.{index}.decorrelation.where: must be {place}, as in the stages before, whose R "
                    f"goes on (got {here})"
                )
            place = here


def _companion_faults(arm: ArmBase, where: str, depth: int, rate: float) -> Iterator[str]:
    """What companions cannot do on a network of this depth with this learning rate."""
    try:
        if arm.decorrelation is not None:
            arm.decorrelation.indices(depth)
        if arm.weight_decay is not None:
            arm.weight_decay.check(rate)
    except ValueError as error:
        yield f"{where}: {error}"
