"""Delay: what a step has seen waits until its losses have arrived."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from analogsim.learning.state import plain, restored
from analogsim.port import Observation


class Seen(NamedTuple):
    """What a learner keeps of the passes of a step.

    Attributes:
        baseline: one sample, or None.
        estimate: statistics of the probes, or None.
        healthy: (C,), whether all losses were finite.
    """

    baseline: Observation | None
    estimate: Any
    healthy: Tensor


class Delay:
    """A queue of `steps` steps, in order.

    Simulated statistics wait, which are formed with the losses; a learner that really waits would keep the signals that
    they are formed of.

    Args:
        steps: d, from a step to the arrival of its losses.

    Attributes:
        steps: d.
    """

    def __init__(self, steps: int) -> None:
        if steps < 0:
            raise ValueError(f"losses cannot arrive before they are sent: delay must not be negative (got {steps})")
        self.steps = steps
        self._waiting: list[Seen] = []
        self._saved: list[Any] = []

    def exchange(self, seen: Seen) -> Seen | None:
        """Take what this step has seen; give that of d steps ago, or None where there were fewer."""
        if not self.steps:
            return seen
        self._waiting += [restored(seen, saved) for saved in self._saved]  # all steps see the same kinds of things
        self._saved = []
        self._waiting.append(_cloned(seen))
        return self._waiting.pop(0) if len(self._waiting) > self.steps else None

    def state_dict(self) -> dict[str, Any]:
        """What waits, for a checkpoint; the tensors are live."""
        return {"waiting": [*(plain(seen) for seen in self._waiting), *self._saved]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self._waiting, self._saved = [], list(state["waiting"])


def _cloned(value: Any) -> Any:
    """The same with tensors of its own: an observation is valid until the next run only."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, tuple):
        parts = [_cloned(each) for each in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value
