"""Controller: the digital computer beside a chip. Runs a rule's plan, steps an optimiser on its own copy, writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor

from analogsim.errors import RuleError
from analogsim.learning.decay import WeightDecay
from analogsim.learning.decorrelation import Decorrelation
from analogsim.learning.decorrelator import Decorrelator
from analogsim.learning.delay import Delay, Seen
from analogsim.learning.health import finite
from analogsim.learning.normalisation import WeightNormalisation
from analogsim.learning.registry import RULES, working_rules
from analogsim.learning.rule import Copy, Counters, Rule
from analogsim.learning.state import plain, restored
from analogsim.learning.stepper import OptimizerFactory, Stepper
from analogsim.learning.writing import WritingName, make_writing
from analogsim.network import Network
from analogsim.port import Access, AccessError, Hardware, LayerUpdate, Observation, Pass, Periphery, Plan


def require_access(rule: Rule, grants: Access, decorrelated: bool = False) -> None:
    """Refuse a rule that needs more than hardware grants, or whose decorrelation does: it looks at layer inputs.

    Raises:
        AccessError: naming what it needs, what is granted and which rules would work.
    """
    needed = rule.requires | Access.ACTIVITIES if decorrelated else rule.requires
    missing = needed & ~grants
    if missing:
        companion = "" if needed == rule.requires else " with decorrelation"
        would = ", ".join(working_rules(grants)) or "none"
        raise AccessError(
            f"rule {rule.name!r}{companion} needs {', '.join(needed.names)}; this chip grants "
            f"{', '.join(grants.names) or 'nothing'}, so {', '.join(missing.names)} is missing. "
            f'Rules that would work: {would}. To run it all the same, as a comparison marked "oracle", '
            f"give the arm `oracle: [{', '.join(missing.names)}]`"
        )


def require_derivatives(rule: Rule, network: Network, grants: Access) -> None:
    """Refuse a rule that sends derivatives through an activation function that has none.

    Raises:
        AccessError: naming the layer, its activation function and which rules would work.
    """
    if not rule.needs_derivatives:
        return
    for index, layer in enumerate(network.layers):
        if not layer.activation.differentiable:
            would = [name for name in working_rules(grants) if not RULES[name]().needs_derivatives]
            raise AccessError(
                f"rule {rule.name!r} needs the derivatives of activation functions, and {layer.activation.name} of "
                f"layer {index} has none that tells anything. Rules that would work: {', '.join(would) or 'none'}"
            )


class Controller:
    """Trains a population of chips with one rule.

    Args:
        hardware: chip and task behind the wall.
        rule: what turns observations into update directions.
        weights: per layer (C, units, rows), what the chip was programmed with; the start of the copy.
        optimizer: makes the optimiser that steps the copy; element-wise, so that chips stay independent.
        rates: learning rate of all chips, or of each.
        decorrelation, normalisation: companions of the rule, or None.
        chunk: largest number of samples run at once; None: all. A chunk's size changes nothing beyond rounding.
        writing: `absolute`: devices are programmed to the copy; `in_memory`: the rule's factors become pulses, which
            takes an optimiser without memory; `mixed_precision`: changes add up until they are worth a pulse.
        generators: one for each chip, on the CPU, for what the rule draws once; of seeds 0, 1, ... unless given.
        decay: of weights, another companion, or None.
        delay: steps until the losses of a step arrive. The learner waits for them: a step's update uses what was seen
            so many steps before, on weights and R that have moved since; the first steps update nothing but R.
        choosing: one generator for each chip, where R is, for what companions choose at random; of seeds 2^32, 2^32 +
            1, ... unless given.
        periphery: to begin with; an R of a layer that is not decorrelated by this controller stays as it is.

    Attributes:
        steps: steps done.
        diverged: (C,), chips that were frozen because a loss, an update or what it led to was not finite.
        state: of the rule.

    Raises:
        AccessError: the rule needs more than the hardware grants, or derivatives that the network does not have.
        ValueError: rates, delay or companions make no sense.
    """

    def __init__(
        self,
        hardware: Hardware,
        rule: Rule,
        weights: Sequence[Tensor],
        optimizer: OptimizerFactory,
        rates: float | Sequence[float],
        decorrelation: Decorrelation | None = None,
        chunk: int | None = None,
        normalisation: WeightNormalisation | None = None,
        writing: WritingName = "absolute",
        generators: Sequence[torch.Generator] | None = None,
        decay: WeightDecay | None = None,
        delay: int = 0,
        choosing: Sequence[torch.Generator | None] | None = None,
        periphery: Periphery | None = None,
    ) -> None:
        require_access(rule, hardware.grants, decorrelation is not None)
        require_derivatives(rule, hardware.network, hardware.grants)
        self._hardware, self._rule, self._chunk = hardware, rule, chunk
        plan = rule.plan(hardware.network)
        self._plan = plan if decorrelation is None else _with_inputs(plan)
        self._stepper = Stepper(hardware.network, weights, optimizer, rates, normalisation, decay)
        self._weights = self._stepper.weights
        device, dtype = self._weights[0].device, self._weights[0].dtype
        self._writing = make_writing(writing, hardware.limits, self._weights)
        self._delay = Delay(delay)
        self._held = periphery or Periphery((None,) * hardware.network.depth)
        self._decorrelator: Decorrelator | None = None
        if decorrelation is not None:
            if choosing is None and decorrelation.share < 1:
                choosing = [torch.Generator(device).manual_seed((1 << 32) + chip) for chip in range(hardware.chips)]
            shape = hardware.chips, device, dtype
            self._decorrelator = Decorrelator(decorrelation, hardware.network, *shape, choosing or ())
            self._decorrelator.begin_at(self._held.decorrelation)
            self._plan = self._decorrelator.planned(self._plan)
        self.steps = 0
        self.diverged = torch.zeros(hardware.chips, dtype=torch.bool, device=device)
        hardware.set_periphery(self._periphery)
        generators = generators or [torch.Generator().manual_seed(chip) for chip in range(hardware.chips)]
        self.state = rule.init(self.copy, generators)

    @property
    def copy(self) -> Copy:
        """The controller's record of what it asked the chip to hold."""
        return Copy(self._hardware.network, tuple(self._weights), self._periphery, self._hardware.limits)

    @property
    def passes_per_step(self) -> int:
        """Forward passes of one step."""
        return self._plan.passes

    @property
    def counters(self) -> Counters:
        """How many batch elements were to teach something, and how many held no information."""
        return self._rule.counters(self.state)

    def state_dict(self) -> dict[str, Any]:
        """Copy, optimiser, R, what waits, the rule's state, frozen chips, for a checkpoint; the tensors are live."""
        return {
            "steps": self.steps,
            "diverged": self.diverged,
            **self._stepper.state_dict(),
            "decorrelation": None if self._decorrelator is None else self._decorrelator.state_dict(),
            "delay": self._delay.state_dict(),
            "rule": plain(self.state),
            "writing": self._writing.state_dict(),
        }

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken; the hardware, which this sets anew, is restored afterwards."""
        device = self.diverged.device
        self.steps = state["steps"]
        self.diverged = state["diverged"].to(device, copy=True)
        self._stepper.load_state_dict(state)
        self.recall({"rule": state["rule"]})
        if self._decorrelator is not None:
            self._decorrelator.load_state_dict(state["decorrelation"])
        self._delay.load_state_dict(state["delay"])
        self._writing.load_state_dict(state["writing"])
        self._hardware.set_periphery(self._periphery)

    def recall(self, state: Mapping[str, Any]) -> None:
        """Take over the entries `optimizer` and `rule`, where they are given, of what `state_dict` gave."""
        if "optimizer" in state:
            self._stepper.load_optimizer(state["optimizer"])
        if "rule" in state:
            try:
                self.state = restored(self.state, state["rule"])
            except (KeyError, AttributeError) as error:
                raise RuleError(
                    f"rule {self._rule.name!r}: its state does not fit the one that was saved ({error}): another "
                    "version of the rule saved it. Go on with that version, or begin anew"
                ) from None

    @torch.no_grad()
    def step(self) -> None:
        """One learning step on the next batch."""
        self._hardware.next_batch()
        seen = self._observe(self._run, self._chunk)
        arrived = self._delay.exchange(seen)
        if arrived is not None:
            self._learn(*arrived)
        self._decorrelate(seen.baseline, seen.estimate)
        self.steps += 1

    def _learn(self, baseline: Observation | None, estimate: Any, healthy: Tensor) -> None:
        """Update the rule, the copy and the devices by what a step has seen."""
        updates, self.state = self._updates(self._hardware, baseline, estimate)
        directions = [update.direction() for update in updates]
        self._require_shapes(directions)
        for direction in directions:
            healthy = healthy & finite(direction)
        self.diverged = self.diverged | ~healthy
        if not self._rule.teaches(self.steps - self._delay.steps):
            return
        before, self.diverged = self._stepper.step(directions, self._hardware.limits.weights, self.diverged)
        rate = torch.where(self.diverged, 0.0, self._stepper.rates)[:, None, None]
        self._hardware.write(self._writing.writes(updates, rate, before, self._weights))

    def _require_shapes(self, directions: Sequence[Tensor]) -> None:
        """Refuse what cannot be subtracted from the weights.

        Raises:
            RuleError: naming rule, layer, shapes and types of numbers.
        """
        found, wanted = ([(*each.shape, each.dtype) for each in some] for some in (directions, self._weights))
        for index, (update, weights) in enumerate(zip_longest(found, wanted)):
            if update != weights:
                raise RuleError(
                    f"rule {self._rule.name!r}: its update of layer {index} is {update}, its weights are {weights}: "
                    "(chips, columns, rows, type of numbers)"
                )

    @torch.no_grad()
    def directions_on(self, hardware: Hardware, chunk: int | None = None) -> tuple[Tensor, ...]:
        """The rule's update directions on the batch of other hardware, per layer (C, columns, rows), for diagnostics.

        Nothing is learnt: the rule's state, the copy, R and the counters stay as they are, and nothing is written.

        Args:
            hardware: runs the same network, and has a batch and the controller's periphery, that of `copy`.
            chunk: largest number of samples run at once on that batch; None: all.
        """
        seen = self._observe(hardware.run, chunk)
        updates, _ = self._updates(hardware, seen.baseline, seen.estimate)
        return tuple(update.direction() for update in updates)

    def programmed(self) -> None:
        """Be told that the devices have been programmed to `copy`, as it is."""
        self._writing.programmed()

    @property
    def feedback(self) -> tuple[Tensor | None, ...] | None:
        """Feedback weights of the rule; see `Rule.feedback`."""
        return self._rule.feedback(self.copy, self.state)

    def _updates(
        self, hardware: Hardware, baseline: Observation | None, estimate: Any
    ) -> tuple[tuple[LayerUpdate, ...], Any]:
        """The rule's updates, and its next state."""
        vector = self._rule.output_vector(baseline, estimate, self.copy, self.state)
        deltas = None
        if vector is not None:
            deltas = hardware.backward(vector, *self._rule.activities(baseline, estimate))
        return self._rule.update(baseline, estimate, deltas, self.copy, self.state)

    def _observe(self, run: Callable[..., tuple[Observation, ...]], chunk: int | None) -> Seen:
        """Run the plan; the estimate is of all samples."""
        plan = self._plan
        baseline = None
        if plan.baseline is not None and plan.samples == 1:  # one batched call for all passes of the step
            baseline, *probes = run((plan.baseline, *plan.probes))
            return Seen(baseline, self._estimate(baseline, probes), _finite(baseline, *probes))
        healthy = torch.ones_like(self.diverged)
        if plan.baseline is not None:
            baseline = run((plan.baseline,))[0].clone()
            healthy = healthy & _finite(baseline)
        estimate, done = None, 0
        while done < plan.samples:
            samples = min(chunk or plan.samples, plan.samples - done)
            probes = run(plan.probes, samples)
            healthy = healthy & _finite(*probes)
            part = self._estimate(baseline, probes)
            estimate = part if estimate is None else estimate.merge(part)
            done += samples
        return Seen(baseline, estimate, healthy)

    def _run(self, passes: tuple[Pass, ...], samples: int = 1) -> tuple[Observation, ...]:
        seen = self._hardware.run(passes, samples)
        if self._decorrelator is not None:
            self._decorrelator.look(*seen)
        return seen

    def _estimate(self, baseline: Observation | None, probes: Sequence[Observation]) -> Any:
        return self._rule.estimate(baseline, probes, self._hardware.network)

    def _decorrelate(self, baseline: Observation | None, estimate: Any) -> None:
        if self._decorrelator is None:
            return
        inputs = getattr(estimate, "inputs", None)
        if inputs is None:
            if baseline is None or baseline.inputs is None:
                raise RuleError(
                    f"rule {self._rule.name!r}: with decorrelation and no baseline, its estimate must have `inputs`: "
                    "per layer the mean inputs (C, B, observed) of its probes"
                )
            inputs = tuple(x[:, 0] for x in baseline.inputs)
        self.diverged = self._decorrelator.step(inputs, self._hardware.limits, self.diverged)
        self._hardware.set_periphery(self._periphery)

    @property
    def _periphery(self) -> Periphery:
        if self._decorrelator is None:
            return self._held
        learned = self._decorrelator.periphery
        layers = zip(learned.decorrelation, self._held.decorrelation, strict=True)
        return learned._replace(decorrelation=tuple(held if r is None else r for r, held in layers))


def _with_inputs(plan: Plan) -> Plan:
    """A plan that records layer inputs, for decorrelation: in the baseline, or in all probes where there is none."""
    passes = plan.probes if plan.baseline is None else (plan.baseline, *plan.probes)
    if any("inputs" in each.record for each in passes):
        return plan
    if plan.baseline is not None:
        return replace(plan, baseline=replace(plan.baseline, record=plan.baseline.record | {"inputs"}))
    return replace(plan, probes=tuple(replace(each, record=each.record | {"inputs"}) for each in plan.probes))


def _finite(*observations: Observation) -> Tensor:
    """Whether all losses of each chip are finite, (C,)."""
    return torch.stack([finite(seen.loss) for seen in observations]).all(dim=0)
