"""What the loop of a run needs: of a kind of scenario, and of an arm under way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

import torch

from analogsim.results import ArmResult, Curve, Tuning


class RunningSearch(Protocol):
    """The search for an arm's learning rates, where it stands.

    Attributes:
        name: of the arm.
    """

    name: str

    @property
    def step(self) -> int:
        """Steps done."""
        ...

    @property
    def steps(self) -> int:
        """All of its steps."""
        ...

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        ...

    @property
    def checkpoint_due(self) -> bool:
        """Whether a checkpoint is made at this step."""
        ...

    def advance(self) -> None:
        """Do one step."""
        ...

    def tuning(self) -> Tuning:
        """What was found, once all is done."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Where it stands, for a checkpoint: `step`, and tensors and plain data."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        ...


class RunningArm(ABC):
    """An arm of a run, where it stands. One without stages, and without a life after training, has the defaults.

    Attributes:
        name: of the arm.
        steps: steps of the whole arm.
    """

    name: str
    steps: int

    @property
    @abstractmethod
    def step(self) -> int:
        """Steps done."""

    @property
    def done(self) -> bool:
        """Whether all steps are done."""
        return self.step == self.steps

    @property
    def stage_done(self) -> bool:
        """Whether all steps of the present stage are done."""
        return self.done

    @property
    @abstractmethod
    def evaluation_due(self) -> bool:
        """Whether there is an evaluation at this step; the beginning aside."""

    @property
    @abstractmethod
    def checkpoint_due(self) -> bool:
        """Whether a checkpoint is made at this step."""

    @abstractmethod
    def advance(self) -> None:
        """Do one step."""

    def next_stage(self) -> None:
        """Enter the next stage.

        Raises:
            RuntimeError: there is none.
        """
        raise RuntimeError("an arm without stages has no next one")

    @property
    def lives_on(self) -> bool:
        """Whether something is left to happen after the last step."""
        return False

    @property
    def lived(self) -> float:
        """Simulated seconds on the timeline so far."""
        return 0.0

    def live(self) -> bool:
        """Let the next thing happen; whether a checkpoint is due.

        Raises:
            RuntimeError: nothing is left.
        """
        raise RuntimeError("an arm without a timeline has no life after its training")

    @abstractmethod
    def evaluate(self) -> Curve:
        """Evaluate, and remember it."""

    @abstractmethod
    def result(self) -> ArmResult:
        """What came of it."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Where the arm stands, for a checkpoint, its curves aside: `step`, and tensors and plain data."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any], curves: Sequence[Curve]) -> None:
        """Continue where `state_dict` was taken, after these evaluations."""


class Work(Protocol):
    """What a kind of scenario gives to its run: all that is to be done, checked, with its data at hand.

    Attributes:
        notes: what is not as one would expect of the data, for those who read the numbers.
    """

    @property
    def notes(self) -> tuple[str, ...]: ...

    def device(self, asked: torch.device) -> torch.device:
        """Where it is simulated, if one asks for that."""
        ...

    def search(self, name: str, device: torch.device) -> RunningSearch | None:
        """The search for an arm's learning rates, at its beginning; None: they are given."""
        ...

    def arm(self, name: str, device: torch.device, tuning: Tuning | None) -> RunningArm:
        """An arm, at its beginning."""
        ...
