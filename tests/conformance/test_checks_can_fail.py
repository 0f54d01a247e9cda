"""Each check fails for a rule that breaks what it asks, and says what is wrong."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import pytest
import torch
from pydantic import PrivateAttr
from torch import Tensor

from analogsim.conformance.checks import CHECKS
from analogsim.conformance.judge import judge
from analogsim.errors import RuleError
from analogsim.learning import RULES
from analogsim.learning.estimates import MeanEstimate
from analogsim.learning.rule import Counters
from analogsim.port import Access, LayerUpdate

NP, ANP = RULES["np"], RULES["anp"]


pytestmark = pytest.mark.usefixtures("one_thread")


def changed(update: LayerUpdate, change) -> LayerUpdate:
    return LayerUpdate(dense=change(update.direction()))


class Broken(NP):
    """NP whose updates are changed on their way out."""

    memory: ClassVar[str] = "none"

    def change(self, direction: Tensor) -> Tensor:
        return direction

    def update(self, *arguments):
        updates, state = super().update(*arguments)
        return tuple(changed(update, self.change) for update in updates), state


class Silent(NP):
    memory: ClassVar[str] = "none"


Silent.__doc__ = None


class Greedy(NP):
    """Takes activities and injections, and says nothing of injections."""

    memory: ClassVar[str] = "none"

    @property
    def requires(self):
        return Access.ACTIVITIES | Access.LOSS


class Overasking(NP):
    """Wants output errors, which it never looks at."""

    memory: ClassVar[str] = "none"

    @property
    def requires(self):
        return super().requires | Access.OUTPUT_ERROR


class Random(Broken):
    """Adds random numbers of its own."""

    memory: ClassVar[str] = "none"

    def change(self, direction):
        return direction + 1e-3 * torch.randn_like(direction)


class Idle(Broken):
    """Moves nothing."""

    memory: ClassVar[str] = "none"

    def change(self, direction):
        return torch.zeros_like(direction)


class Mixed(Broken):
    """Divides by the size of all chips' directions."""

    memory: ClassVar[str] = "none"

    def change(self, direction):
        return direction / direction.norm()


class Summed(NP):
    """Divides by the size of what a batch told."""

    memory: ClassVar[str] = "none"

    def update(self, *arguments):
        updates, state = super().update(*arguments)
        factors = [(each.post / each.post.norm(dim=(1, 2), keepdim=True), each.pre) for each in updates]
        return tuple(LayerUpdate(post=post, pre=pre) for post, pre in factors), state


class OfTheLastChunk(MeanEstimate):
    """What the last chunk told."""

    def merge(self, other):
        return other


class LastChunk(NP):
    """Forgets all chunks but the last."""

    memory: ClassVar[str] = "none"

    def estimate(self, *arguments):
        return OfTheLastChunk(*super().estimate(*arguments))


class Listed(NamedTuple):
    """A state with a list, which no checkpoint keeps."""

    counters: Counters
    seen: list


class Forgetful(NP):
    """Remembers in a list."""

    memory: ClassVar[str] = "a list"

    def init(self, copy, generators):
        return Listed(super().init(copy, generators), [])

    def update(self, baseline, estimate, deltas, copy, state):
        updates, counters = super().update(baseline, estimate, deltas, copy, state.counters)
        return updates, Listed(counters, [*state.seen, 1])


class Private(NP):
    """Remembers in itself."""

    memory: ClassVar[str] = "a number"
    _seen: int = PrivateAttr(0)

    def init(self, copy, generators):
        self._seen = 0
        return super().init(copy, generators)

    def update(self, *arguments):
        self._seen += 1
        updates, state = super().update(*arguments)
        return tuple(changed(update, lambda direction: direction * self._seen) for update in updates), state


class InPlace(NP):
    """Counts in the state that it is given."""

    memory: ClassVar[str] = "none"

    def update(self, *arguments):
        updates, state = super().update(*arguments)
        arguments[-1].vectors.add_(1)
        return updates, state


class Infinite(ANP):
    """Divides by the power of the differences, whatever it is."""

    memory: ClassVar[str] = "none"

    def update(self, baseline, estimate, deltas, copy, state):
        assert isinstance(estimate, MeanEstimate)
        power = sum(each.square().sum(2) for each in estimate.directions)
        divided = estimate._replace(directions=tuple(each / power[..., None] for each in estimate.directions))
        return super().update(baseline, divided, deltas, copy, state)


class Wrapped(NamedTuple):
    """An estimate that keeps the inputs to itself."""

    held: MeanEstimate

    def merge(self, other):
        return Wrapped(self.held.merge(other.held))


class Closed(NP):
    """Its estimate has no inputs to be seen."""

    memory: ClassVar[str] = "none"

    def estimate(self, *arguments):
        return Wrapped(super().estimate(*arguments))

    def update(self, baseline, estimate, deltas, copy, state):
        return super().update(baseline, estimate.held, deltas, copy, state)


class Positionless(NP):
    """Takes what drives a layer for what drives its crossbar."""

    memory: ClassVar[str] = "none"

    def update(self, baseline, estimate, deltas, copy, state):
        updates, state = super().update(baseline, estimate, deltas, copy, state)
        pairs = [(update.post, update.pre) for update in updates]
        return tuple(LayerUpdate(post=post, pre=pre) for post, pre in pairs), state


class Uphill(Broken):
    """Goes up."""

    memory: ClassVar[str] = "none"

    def change(self, direction):
        return -direction


class HiddenUphill(Broken):
    """Goes up in hidden layers, and down in the last one, whose weights have three units."""

    memory: ClassVar[str] = "none"

    def change(self, direction):
        return direction if direction.shape[1] == 3 else -direction


class Behind(NP):
    """Of a module that looks at chips."""

    memory: ClassVar[str] = "none"


Behind.__module__ = "analogsim.study.rig"


@pytest.mark.parametrize(
    ("check", "rule", "message"),
    [
        ("describes itself", Silent(), "class Silent has no docstring"),
        (
            "stays before the wall",
            Behind(),
            "cannot be imported before the wall: ImportError: analogsim.study lies behind",
        ),
        ("asks for what it needs", Greedy(), "its plan takes injection, which `requires` does not name"),
        ("asks for what it needs", Overasking(), "`requires` names output_error, which it makes no use of"),
        ("repeats itself", Random(), "two trainings with equal seeds differ"),
        ("repeats itself", Idle(), "3 steps moved no weight of layer 0, 1, 2"),
        ("keeps chips apart", Mixed(), "chip 1 of three learns otherwise than alone"),
        ("keeps a sick chip apart", Mixed(), "a loss that is not a number spreads to other chips"),
        ("is the mean of a batch", Summed(), "the update of six samples is not the mean"),
        ("is the same in chunks", LastChunk(samples=3, baseline="shared"), "samples one by one teach otherwise"),
        ("leaves alone what it is given", InPlace(), "it changes the state that it is given in place"),
        ("survives an interruption", Forgetful(), "after a checkpoint it goes on otherwise"),
        ("survives an interruption", Private(), "after a checkpoint it goes on otherwise"),
        ("is finite at the ends of ranges", Infinite(), "its updates are not finite without noise"),
        (
            "learns convolutions",
            Positionless(),
            "its update of layer 0 is (2, 40, 20, torch.float32), its weights are (2, 2, 10, ",
        ),
        ("learns with decorrelation", Closed(baseline="pairs"), "and no baseline, its estimate must have `inputs`"),
        ("goes downhill", Uphill(), "its mean update does not go downhill (t by layer -"),
        ("goes downhill", HiddenUphill(), "its mean update does not go downhill (t by layer -"),
        ("goes downhill", Idle(), "its mean update does not go downhill"),
    ],
    ids=lambda each: each if isinstance(each, str) else type(each).__name__,
)
def test_a_broken_rule_is_caught(check, rule, message):
    with pytest.raises(RuleError) as told:
        CHECKS[check](rule)
    assert message in str(told.value)


def test_every_check_is_seen_to_fail():
    (mark,) = test_a_broken_rule_is_caught.pytestmark
    assert {check for check, _, _ in mark.args[1]} == set(CHECKS)


class Raising(NP):
    """Fails in its plan."""

    memory: ClassVar[str] = "none"

    def plan(self, network):
        if network.depth > 1:
            raise KeyError("no such layer")
        return super().plan(network)


def test_an_exception_is_a_fault_with_its_line_and_all_checks_are_run():
    outcomes = {outcome.check: outcome for outcome in judge(Raising())}
    assert list(outcomes) == list(CHECKS)
    assert outcomes["describes itself"].fault is None
    fault = outcomes["goes downhill"].fault
    assert fault is not None
    assert fault.startswith("KeyError: 'no such layer' (")
    assert "test_checks_can_fail.py:" in fault


def test_what_a_rule_is_not_asked_for_is_said():
    outcomes = {outcome.check: outcome for outcome in judge(Uphill())}
    assert outcomes["is the mean of a batch"].not_asked == "its updates are dense matrices, without factors"
    assert str(outcomes["is the same in chunks"].not_asked).startswith("it takes one sample a step")
    failing = [check for check, outcome in outcomes.items() if outcome.fault]
    assert failing == ["stays before the wall", "goes downhill"]  # a file of tests is no module to import
