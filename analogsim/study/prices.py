"""Prices: what the operations of an arm's chips take, from the shape of its steps; nothing where profiles have none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analogsim.clock import (
    Decorrelated,
    InferenceCost,
    StepCost,
    StepShape,
    Writes,
    inference_cost,
    optimizer_operations,
    step_cost,
    step_shape,
)
from analogsim.learning import WritingName
from analogsim.network import Network
from analogsim.port import Access, Plan
from analogsim.results import StepPrice
from analogsim.study.profiles import profiles_of
from analogsim.study.schema import Scenario
from analogsim.study.stages import StagePlan
from device_models import Costs, DeviceProfile


@dataclass(frozen=True)
class Prices:
    """What the chips of a stage take.

    Attributes:
        shape: of a learning step; of a stage that learns nothing, of one pass of one sample.
        costs: per layer.
        given_time: seconds that each learning step takes; 0: its latency.
    """

    shape: StepShape
    costs: tuple[Costs, ...]
    given_time: float = 0.0

    @property
    def step_time(self) -> float:
        """Seconds of a learning step."""
        return self.given_time or self.step.latency

    @property
    def step(self) -> StepCost:
        """Of a learning step."""
        return step_cost(self.shape)

    @property
    def inference(self) -> InferenceCost:
        """Of one input."""
        return inference_cost(self.shape)

    def reads_time(self, inputs: int) -> float:
        """Seconds of a stream of inputs."""
        found = self.inference
        return found.latency + (inputs - 1) * found.interval if inputs else 0.0

    @property
    def write_time(self) -> float:
        """Seconds of programming every device, all layers at once."""
        shape = self.shape
        times = [layer.writing("absolute", shape.tile, shape.batch) for layer in shape.layers]
        times += [each.decorrelation_writing(shape.tile) for each in shape.layers if each.decorrelation == "crossbar"]
        return max(times)

    @property
    def standby(self) -> float:
        """Watts of a chip, whether it works or not: of the profile of its layers, or the highest of theirs."""
        return max(each.standby for each in self.costs)

    def told(self) -> StepPrice:
        """For the result."""
        step = self.step
        return StepPrice(seconds=step.latency, joules=dict(step.joules), occupancy=dict(step.occupancy))


def prices_of(scenario: Scenario, plans: Sequence[StagePlan], index: int, network: Network) -> Prices | None:
    """Of a stage of an arm; None where a profile has no costs, or the stage is a computation.

    Args:
        scenario: resolved.
        plans: of all stages.
        index: of the stage.
        network: what runs on its chips.
    """
    plan = plans[index]
    profiles = profiles_of(plan.chip, network.depth)
    costs = tuple(each.costs for each in profiles if each.costs is not None)
    if plan.ex_situ or len(costs) < network.depth:
        return None
    fixed = (network, profiles, plan.chip.tile)
    r = _decorrelated(plans[: index + 1], network.depth)
    shape = _step(scenario, plan, fixed, r) if plan.learns else step_shape(*fixed, 1, 1, write="none", decorrelation=r)
    return None if shape is None else Prices(shape, costs, scenario.train.step_time)


def _step(
    scenario: Scenario,
    plan: StagePlan,
    fixed: tuple[Network, Sequence[DeviceProfile], int],
    r: Sequence[Decorrelated | None],
) -> StepShape | None:
    """Of a learning step."""
    arm, rule, (network, profiles, _) = plan.arm, plan.arm.build_rule(), fixed
    batch, wanted = scenario.data.batch, rule.plan(network)
    optimizer = arm.optimizer or scenario.train.optimizer
    each = optimizer_operations(optimizer.name, optimizer.options)
    decorrelated = [index for index, where in enumerate(r) if where is not None]
    learned = rule.digital_operations(network, batch, decorrelated, optimizer.writing != "in_memory")
    weights = [layer.rows * layer.columns for layer in network.layers]
    companions = [] if arm.decorrelation is None else [arm.decorrelation.digital_operations(network, batch)]
    others = (arm.weight_decay, arm.weight_normalisation)
    companions += [companion.digital_operations(network) for companion in others if companion is not None]
    written = Access.WEIGHT_INJECTION in rule.requires and not all(p.weight_perturbation.path for p in profiles)
    return step_shape(
        *fixed,
        batch,
        wanted.passes,
        backward=Access.TRANSPOSED_READ in rule.requires,
        update=[own + each * number for own, number in zip(learned, weights, strict=True)],
        companions=[sum(layer) for layer in zip(*companions, strict=True)],
        write=_writes(optimizer.writing, rule.requires),
        decorrelation=r,
        rewritten=_perturbed(wanted) if written else 0,
    )


def _decorrelated(plans: Sequence[StagePlan], depth: int) -> list[Decorrelated | None]:
    """Where the R of each layer is, of what stages so far have learned."""
    found: list[Decorrelated | None] = [None] * depth
    for decorrelation in (plan.arm.decorrelation for plan in plans if plan.learns):
        if decorrelation is not None:
            for index in decorrelation.indices(depth):
                found[index] = decorrelation.where
    return found


def _writes(writing: WritingName, needed: Access) -> Writes:
    """How a step reaches the devices: what has no factors goes to them in whole pulses."""
    dense = Access.WEIGHT_INJECTION in needed
    return "mixed_precision" if writing == "in_memory" and dense else writing


def _perturbed(plan: Plan) -> int:
    """Passes of a step whose weights are perturbed."""
    probes = [each for each in plan.probes if each.inject is not None and each.inject.site == "weights"]
    return plan.samples * len(probes)
