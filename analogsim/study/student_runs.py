"""Arms of the linear student-teacher problem: runs that are simulated, and what a theory says of the same runs."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from analogsim.results import ArmResult, ChipResult, Counts, Curve, Metrics, Tuning
from analogsim.study.student_teacher import StudentTeacherScenario
from analogsim.study.work import RunningArm, RunningSearch
from analogsim.theory import MeanField, OrderParameters, RotatedSimulation, StudentTeacher, two_variable_error

_CRASH = 1e3  # a run is over when its error, or the loss of a sample, exceeds that many times the first
_PASSES = {"np": 2, "sgd": 1}


class StudentTeacherWork:
    """All arms of a scenario of this kind; they are computed on the CPU, in 64 bits.

    Args:
        scenario: of the run.
    """

    def __init__(self, scenario: StudentTeacherScenario) -> None:
        self._scenario = scenario
        self.notes: tuple[str, ...] = ()

    def device(self, asked: torch.device) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    def search(self, name: str, device: torch.device) -> RunningSearch | None:
        """No learning rates are searched."""
        return None

    def arm(self, name: str, device: torch.device, tuning: Tuning | None) -> StudentRuns:
        """An arm, at its beginning."""
        return (SimulatedArm if self._scenario.arms[name].theory is None else TheoryArm)(self._scenario, name)


class StudentRuns(RunningArm):
    """Runs that start from initial weights of their own; their errors eps stand in the place of test losses.

    Args:
        scenario: of the run.
        name: of the arm.
    """

    def __init__(self, scenario: StudentTeacherScenario, name: str) -> None:
        self.name = name
        self._arm = arm = scenario.arms[name]
        self._own = own = scenario.own(arm)
        self.steps = own.steps
        self._problem = StudentTeacher(own.inputs, own.hidden, own.outputs)
        self._places = scenario.places(arm)
        self._curves: list[Curve] = []
        self._simulation = RotatedSimulation(
            self._problem,
            [rate for _, rate in self._places],
            [(scenario.seed, place["chip"]) for place, _ in self._places],
            teacher_noise=own.noise,
            sigma=own.sigma,
            crash=_CRASH,
            rule=arm.rule,
            first_norm=arm.first_norm,
            normalised=arm.weight_normalisation,
        )

    @property
    def evaluation_due(self) -> bool:
        return self.step % self._own.evaluate_every == 0 or self.done

    @property
    def checkpoint_due(self) -> bool:
        return self.step % self._own.checkpoint_every == 0 and not self.done

    @abstractmethod
    def _errors_and_norms(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """eps (R,), and ||W1|| and ||W2|| (R, 2); not finite where they are not known."""

    @abstractmethod
    def _crashed(self) -> NDArray[np.bool_]:
        """Which runs are over, (R,)."""

    def evaluate(self) -> Curve:
        errors, norms = self._errors_and_norms()
        chips = tuple(
            Metrics(
                epoch=self.step,
                test_accuracy=None,
                test_loss=_finite(error),
                train_loss=None,
                diagnostics={"weight_norm": tuple(map(_finite, both))},
            )
            for error, both in zip(errors.tolist(), norms.tolist(), strict=True)
        )
        self._curves.append(Curve(arm=self.name, step=self.step, chips=chips))
        return self._curves[-1]

    def result(self) -> ArmResult:
        arm, theory, crashed = self._arm, self._arm.theory, self._crashed().tolist()
        counts = Counts(
            passes=0 if theory else _PASSES[arm.rule] * self.steps,
            device_writes=0,
            vectors=0 if theory else self.steps,
            silent=0,
            saturated=0.0,
        )
        chips = []
        for at, (place, rate) in enumerate(self._places):
            history = [curve.chips[at] for curve in self._curves]
            over = crashed[at] or history[-1].crashed_from(history[0])
            chips.append(
                ChipResult(
                    coordinates=place,
                    lr=rate,
                    status="diverged" if over else "finished",
                    final=history[-1],
                    best=min(history, key=lambda seen: math.inf if seen.test_loss is None else seen.test_loss),
                    counts=counts,
                )
            )
        return ArmResult(
            rule=theory or arm.rule,
            family=arm.family,
            decorrelated=False,
            oracle=("output_error", "transposed_read") if arm.rule == "sgd" else (),
            theory=theory is not None,
            steps=self.steps,
            passes_per_step=0 if theory else _PASSES[arm.rule],
            chips=tuple(chips),
        )

    def load_state_dict(self, state: dict[str, Any], curves: Sequence[Curve]) -> None:
        self._curves = list(curves)


@final
class SimulatedArm(StudentRuns):
    """Runs that learn. One that has crashed stays as it was last."""

    @property
    def step(self) -> int:
        return self._simulation.steps

    def advance(self) -> None:
        self._simulation.run(self.step + 1)

    def _errors_and_norms(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return _seen(self._problem, self._simulation.order_parameters())

    def _crashed(self) -> NDArray[np.bool_]:
        return self._simulation.crashed >= 0

    def state_dict(self) -> dict[str, Any]:
        state = self._simulation.state_dict()
        arrays = {name: torch.from_numpy(array) for name, array in state["arrays"].items()}
        return {**state, "step": self.step, "arrays": arrays, "drawn": [torch.from_numpy(d) for d in state["drawn"]]}

    def load_state_dict(self, state: dict[str, Any], curves: Sequence[Curve]) -> None:
        super().load_state_dict(state, curves)
        arrays = {name: tensor.numpy() for name, tensor in state["arrays"].items()}
        self._simulation.load_state_dict({**state, "arrays": arrays, "drawn": [d.numpy() for d in state["drawn"]]})


@final
class TheoryArm(StudentRuns):
    """Errors that a theory expects, from where each run starts; computed at once, so a checkpoint holds a place only.

    Where an error exceeds 1000 times the first, the run is over: its error stays at that, its norms are not known.
    """

    def __init__(self, scenario: StudentTeacherScenario, name: str) -> None:
        super().__init__(scenario, name)
        self._step = 0
        self._times = sorted({*range(0, self.steps, self._own.evaluate_every), self.steps})
        starts = self._simulation.order_parameters()
        rates = [rate for _, rate in self._places]
        found = [self._expected(rate, start) for rate, start in zip(rates, starts, strict=True)]
        self._errors, self._norms = (np.stack(each, axis=1) for each in zip(*found, strict=True))
        limit = _CRASH * starts[:, 2]
        over = np.logical_or.accumulate(~(self._errors <= limit), axis=0)
        self._errors, self._norms[over] = np.where(over, limit, self._errors), np.nan
        self._over = over[-1]

    def _expected(self, rate: float, start: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """eps (T,), and both norms (T, 2), at all times of a run."""
        begin, noise, theory = OrderParameters(*start.tolist()), self._own.noise, self._arm.theory
        if theory == "two_variables":
            errors = two_variable_error(self._problem, rate, self._times, noise, begin)
            return errors, np.full((len(self._times), 2), np.nan)
        field = MeanField(self._problem, rate, noise, finite_size=theory == "mean_field")
        return _seen(self._problem, field.trajectory(self._times, begin))

    @property
    def step(self) -> int:
        return self._step

    def advance(self) -> None:
        self._step += 1

    def _errors_and_norms(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        at = self._times.index(self._step)
        return self._errors[at], self._norms[at]

    def _crashed(self) -> NDArray[np.bool_]:
        return self._over

    def state_dict(self) -> dict[str, Any]:
        return {"step": self._step}

    def load_state_dict(self, state: dict[str, Any], curves: Sequence[Curve]) -> None:
        super().load_state_dict(state, curves)
        self._step = state["step"]


def _seen(problem: StudentTeacher, parameters: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """eps, and the norms of both layers, of (R, 4) order parameters."""
    sizes = np.array([problem.inputs, problem.outputs])
    return parameters[:, 2], np.sqrt(parameters[:, :2] * sizes)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
