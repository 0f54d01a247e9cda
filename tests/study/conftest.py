"""Runs of a tiny scenario that stop where a test says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from analogsim.results import Curve, Result, read_result
from analogsim.study.arm import Arm
from analogsim.study.run import Nobody, load_data, run
from analogsim.study.scenario import load_scenario
from analogsim.study.schema import Scenario

CPU = torch.device("cpu")

# Seven steps an epoch; evaluations between checkpoints, whose training losses reach across them; an order of data in
# use at each checkpoint; momentum, decorrelation, transposed reads, three arms.
TINY = [
    "network.layers=[8, 10]",
    "chip.population=2",
    "data.batch=200",
    "train={epochs: 2, optimizer: {adam: {lr: 3.0e-3}}, evaluate_every: 5 steps, checkpoint_every: 3 steps}",
    "arms={danp: {rule: danp, samples: 2, decorrelation: {rate: 0.01}}, "
    "bp: {rule: bp, oracle: [output_error, transposed_read]}, np: {rule: np, sigma: 0.3}}",
]
FILES = ("scenario.yaml", "metrics.jsonl", "result.json")


class StoppedError(Exception):
    """Stands for a process's end."""


class Stop(Nobody):
    """Ends a run after some steps of an arm, or before its first."""

    def __init__(self, arm: str, step: int) -> None:
        self._at, self._arm = (arm, step), ""

    def arm(self, name: str, steps: int) -> None:
        self._arm = name

    def step(self, done: int) -> None:
        if (self._arm, done) == self._at:
            raise StoppedError

    def evaluated(self, curve: Curve) -> None:
        if (curve.arm, curve.step) == self._at:
            raise StoppedError


class Notes(Nobody):
    """Keeps what a person is told, and which steps were done."""

    def __init__(self) -> None:
        self.text = ""
        self.steps: list[int] = []

    def step(self, done: int) -> None:
        self.steps.append(done)

    def note(self, text: str) -> None:
        self.text += text + "\n"


class Runs:
    """Begins, stops and reads runs; a fixture, because test files do not import each other."""

    settings, files, Stopped = TINY, FILES, StoppedError

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders = folders
        self._known: dict[tuple[str, ...], dict[str, bytes]] = {}

    @staticmethod
    def scenario(*settings: str) -> Scenario:
        return load_scenario("quickstart", [*TINY, *settings])

    @staticmethod
    def stop_at(arm: str, step: int) -> Stop:
        return Stop(arm, step)

    @staticmethod
    def notes() -> Notes:
        return Notes()

    @staticmethod
    def bytes_of(folder: Path) -> dict[str, bytes]:
        return {name: (folder / name).read_bytes() for name in FILES}

    def undisturbed(self, *settings: str) -> dict[str, bytes]:
        """Files of a run that nobody interrupts, by its settings."""
        if settings not in self._known:
            folder = run(self.scenario(*settings), self._folders.mktemp("undisturbed"), CPU).path
            self._known[settings] = self.bytes_of(folder)
        return self._known[settings]

    def stopped(self, parent: Path, arm: str, step: int, *settings: str) -> Path:
        """Folder of a run that was stopped there."""
        with pytest.raises(StoppedError):
            run(self.scenario(*settings), parent, CPU, Stop(arm, step))
        [folder] = parent.iterdir()
        return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory)


class Lives:
    """Chips of a small scenario on timelines; a fixture."""

    base = (
        "network.layers=[16, 10]",
        "chip.population=3",
        "chip.tile=64",
        "data.batch=100",
        "train={epochs: 2, optimizer: {adam: {lr: 3.0e-3}}, checkpoint_every: 3 steps}",
    )

    def scenario(self, *settings: str) -> Scenario:
        return load_scenario("quickstart", [*self.base, *settings])

    def result(self, out: Path, *settings: str) -> Result:
        return read_result(run(self.scenario(*settings), out, CPU).path / "result.json")

    def begun(self, study: Scenario, name: str, until: str) -> Arm:
        """An arm, lived until the first event of a kind is over."""
        arm = Arm(study, name, load_data(study), CPU)
        arm.evaluate()
        while not any(moment.event == until for moment in (arm._life.moments if arm._life else ())):
            arm.live()
        return arm

    def lived(self, study: Scenario, name: str) -> Arm:
        """An arm, lived to its end."""
        arm = Arm(study, name, load_data(study), CPU)
        arm.evaluate()
        while arm.lives_on:
            arm.live()
        return arm


@pytest.fixture(scope="session")
def lives() -> Lives:
    return Lives()
