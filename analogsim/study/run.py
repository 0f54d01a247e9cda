"""Run a scenario: every arm trains the same chips from the same initial weights."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

import torch

from analogsim._shell import typed
from analogsim.errors import DataError, ScenarioError
from analogsim.results import ArmResult, Curve, Result, Tuning
from analogsim.study.apart import ApartArm
from analogsim.study.arm import Arm
from analogsim.study.check import check
from analogsim.study.checkpoint import Checkpoint, Checkpoints
from analogsim.study.folder import RunFolder, environment
from analogsim.study.kinds import AnyScenario
from analogsim.study.profiles import axes_of
from analogsim.study.schema import Scenario
from analogsim.study.student_runs import StudentTeacherWork
from analogsim.study.student_teacher import StudentTeacherScenario
from analogsim.study.timeless import stands_still, timeless
from analogsim.study.timeline_section import lives_apart
from analogsim.study.tuning import Search
from analogsim.study.work import RunningArm, RunningSearch, Work
from analogsim.tasks import DATA_SETS, DataSet


class Watcher(Protocol):
    """Is told how a run goes on."""

    def tuning(self, name: str, done: int, steps: int) -> None:
        """The search for an arm's learning rates goes on."""
        ...

    def arm(self, name: str, steps: int) -> None:
        """An arm begins, or goes on; or was finished before a resume, and its last step is told next."""
        ...

    def step(self, done: int) -> None:
        """A step of it is done."""
        ...

    def evaluated(self, curve: Curve) -> None:
        """Its chips were evaluated."""
        ...

    def lived(self, seconds: float) -> None:
        """Its chips have come so far on their timeline, simulated time since its beginning."""
        ...

    def note(self, text: str) -> None:
        """Something that a person wants to know."""
        ...


class Nobody:
    """A watcher that looks away."""

    def tuning(self, name: str, done: int, steps: int) -> None:
        """The search for an arm's learning rates goes on."""

    def arm(self, name: str, steps: int) -> None:
        """An arm begins."""

    def step(self, done: int) -> None:
        """A step of it is done."""

    def evaluated(self, curve: Curve) -> None:
        """Its chips were evaluated."""

    def lived(self, seconds: float) -> None:
        """Its chips have come so far on their timeline."""

    def note(self, text: str) -> None:
        """Something that a person wants to know."""


def choose_device(name: str | torch.device) -> torch.device:
    """`auto`, `cpu` or `cuda` as a device; one that is a device already as it is.

    Raises:
        ScenarioError: `cuda` where there is no GPU.
    """
    if isinstance(name, torch.device):
        return name
    name = str(name)
    if name == "cuda" or name.startswith("cuda:"):
        if not torch.cuda.is_available():
            raise ScenarioError("--device cuda: torch finds no CUDA GPU on this machine; use --device cpu")
        return torch.device("cuda", 0) if name == "cuda" else torch.device(name)
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    if name == "cpu":
        return torch.device("cpu")
    raise ScenarioError(f"--device {name}: not a known device; choose auto, cpu or cuda")


class ChipWork:
    """All arms of a scenario of chips; see `Work`.

    Args:
        scenario: of the run.
        data: its data set; None: it is loaded.

    Raises:
        ScenarioError: it does not fit the data, or an arm asks for more than its chip grants.
    """

    def __init__(self, scenario: Scenario, data: DataSet | None = None) -> None:
        self._scenario, self._data = scenario, load_data(scenario) if data is None else data
        check(scenario, self._data)
        varied = [path for path, values in axes_of(scenario.chip).items() if len(values) > 1]
        self.notes = (*self._data.notes, *(timeless(varied) if stands_still(scenario) else ()))

    def device(self, asked: torch.device) -> torch.device:
        """The one that is asked for."""
        return asked

    def search(self, name: str, device: torch.device) -> RunningSearch | None:
        """The search for an arm's learning rates, where `train.tune` asks for one."""
        return None if self._scenario.train.tune is None else Search(self._scenario, name, self._data, device)

    def arm(self, name: str, device: torch.device, tuning: Tuning | None) -> RunningArm:
        """An arm, at its beginning."""
        scenario = self._scenario
        apart = lives_apart((*scenario.timeline, *scenario.arms[name].timeline))
        return (ApartArm if apart else Arm)(scenario, name, self._data, device, tuning)


def prepare(scenario: AnyScenario, data: DataSet | None = None) -> Work:
    """What a resolved scenario's run is to do; nothing has run.

    Args:
        scenario: of the run.
        data: its data set, as `load_data` gives it; None: it is loaded.

    Raises:
        ScenarioError: it cannot be run.
        DataError: its data files are missing or damaged.
    """
    return StudentTeacherWork(scenario) if isinstance(scenario, StudentTeacherScenario) else ChipWork(scenario, data)


def run(
    scenario: AnyScenario, parent: str | Path, device: str | torch.device = "auto", watcher: Watcher | None = None
) -> RunFolder:
    """Run a resolved scenario in a new folder.

    Args:
        scenario: as `load_scenario` gives it.
        parent: where the run folder is made.
        device: to simulate on; `auto`: a GPU where there is one.
        watcher: is told how it goes on.

    Raises:
        ScenarioError: the scenario does not fit the data, or an arm asks for more than its chip grants; nothing has run
            and no folder was made.
        RunError: the folder cannot be made or written.
    """
    watcher, device = watcher or Nobody(), choose_device(device)
    work = prepare(scenario)
    folder = RunFolder.create(Path(parent), scenario)
    with folder.locked():
        watcher.note(f"run folder: {folder.path} (if interrupted: analogsim resume {typed(folder.path)})")
        for note in work.notes:
            watcher.note(note)
        go_on(scenario, work, folder, work.device(device), watcher)
    return folder


def go_on(
    scenario: AnyScenario,
    work: Work,
    folder: RunFolder,
    device: torch.device,
    watcher: Watcher,
    begin: Checkpoint | None = None,
) -> None:
    """Work off what is left of a run.

    Args:
        scenario: of the run.
        work: as `prepare` gives it.
        folder: of the run, locked; its metrics.jsonl ends where `begin` was made.
        device: to simulate on.
        watcher: is told how it goes on.
        begin: where to go on; None: at the beginning.
    """
    start = time.perf_counter() - (begin.seconds if begin else 0.0)
    checkpoints, scenario_checksum = Checkpoints(folder.checkpoints), folder.scenario_checksum()
    finished: dict[str, ArmResult] = dict(begin.finished) if begin else {}
    tuned: dict[str, Tuning] = dict(begin.tuned) if begin else {}

    def save(under_way: RunningArm | RunningSearch | None, searching: bool = False) -> None:
        checkpoints.save(
            Checkpoint(
                scenario=scenario_checksum,
                environment=environment(device, scenario),
                seconds=time.perf_counter() - start,
                metrics=folder.mark(),
                finished=finished,
                tuned=tuned,
                arm=under_way.name if under_way else None,
                searching=searching,
                state=under_way.state_dict() if under_way else None,
            )
        )

    for name in scenario.arms:
        if name in finished:
            watcher.arm(name, finished[name].steps)
            watcher.step(finished[name].steps)
            continue
        search = None if name in tuned else work.search(name, device)
        if search is not None:
            if begin is not None and (state := begin.state_of(name, searching=True)) is not None:
                search.load_state_dict(state)
            while not search.done:
                search.advance()
                watcher.tuning(name, search.step, search.steps)
                if search.checkpoint_due:
                    save(search, searching=True)
            tuned[name] = search.tuning()
            save(None)
        arm = work.arm(name, device, tuned.get(name))
        watcher.arm(name, arm.steps)
        if begin is not None and (state := begin.state_of(name)) is not None:
            arm.load_state_dict(state, folder.curves(name))
            watcher.step(arm.step)
        else:
            _evaluate(arm, folder, watcher)
        while not arm.done:
            if arm.stage_done:
                arm.next_stage()
                _evaluate(arm, folder, watcher)
                continue
            arm.advance()
            watcher.step(arm.step)
            if arm.evaluation_due:
                _evaluate(arm, folder, watcher)
            if arm.checkpoint_due:
                save(arm)
        while arm.lives_on:
            due = arm.live()
            watcher.lived(arm.lived)
            if due:
                save(arm)
        finished[name] = arm.result()
        save(None)
    seed = scenario.model_dump(mode="json")["seed"]
    result = Result(
        kind="student_teacher" if isinstance(scenario, StudentTeacherScenario) else "chips",
        name=scenario.name,
        seed=seed,
        reach=scenario.train.reach if isinstance(scenario, Scenario) else None,
        arms={name: finished[name] for name in scenario.arms},
        notes=work.notes,
    )
    folder.finish(result, time.perf_counter() - start, device, scenario)
    checkpoints.remove()


def _evaluate(arm: RunningArm, folder: RunFolder, watcher: Watcher) -> None:
    curve = arm.evaluate()
    folder.append(curve)
    watcher.evaluated(curve)


def load_data(scenario: Scenario, where: str | None = None) -> DataSet:
    """The data set that a scenario names, as it asks for it.

    Args:
        scenario: resolved.
        where: what to call it in messages; by its name unless given.

    Raises:
        ScenarioError: it cannot be had so.
        DataError: its files are missing or damaged.
    """
    section, where = scenario.data, where or f"scenario {scenario.name}"
    data = section.teacher.build() if section.teacher else DATA_SETS[section.set]()
    for key in ("samples", "pool"):
        number = getattr(section, key)
        try:
            data = data if number is None else data.first(number) if key == "samples" else data.pooled(number)
        except DataError as error:
            raise ScenarioError(f"{where} cannot be run: data.{key}: {error}") from None
    if section.standardise:
        try:
            data = data.standardised("channel" if section.standardise == "channel" else "feature")
        except DataError as error:
            raise ScenarioError(f"{where} cannot be run: data.standardise: {error}") from None
    return data.autoencoding() if section.target == "input" else data
