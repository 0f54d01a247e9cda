"""Run a scenario: every arm trains the same chips from the same initial weights."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import torch

from analogsim.chip import Chip, Mapping
from analogsim.errors import AnalogsimError, ScenarioError
from analogsim.learning import Controller
from analogsim.learning.controller import require_access
from analogsim.network import Network
from analogsim.port import Access
from analogsim.randomness import Purpose, Streams
from analogsim.results import ArmResult, ChipResult, Counts, Curve, Metrics, Result
from analogsim.study.folder import RunFolder
from analogsim.study.rig import Rig
from analogsim.study.scenario import Population, lay_out
from analogsim.study.schema import ArmBase, Scenario
from analogsim.tasks import DATA_SETS, LOSSES, DataSet, Task
from device_models.errors import bulleted


class Watcher(Protocol):
    """Is told how a run goes on."""

    def arm(self, name: str, steps: int) -> None:
        """An arm begins."""
        ...

    def step(self, done: int) -> None:
        """A step of it is done."""
        ...

    def evaluated(self, curve: Curve) -> None:
        """Its chips were evaluated."""
        ...


def choose_device(name: str) -> torch.device:
    """`auto`, `cpu` or `cuda` as a device.

    Raises:
        ScenarioError: `cuda` where there is no GPU.
    """
    if name == "cuda" or name.startswith("cuda:"):
        if not torch.cuda.is_available():
            raise ScenarioError("--device cuda: torch finds no CUDA GPU on this machine; use --device cpu")
        return torch.device("cuda", 0) if name == "cuda" else torch.device(name)
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    if name == "cpu":
        return torch.device("cpu")
    raise ScenarioError(f"--device {name}: not a known device; choose auto, cpu or cuda")


def run(scenario: Scenario, parent: Path, device: torch.device, watcher: Watcher | None = None) -> RunFolder:
    """Run a resolved scenario in a new folder.

    Args:
        scenario: as `load_scenario` gives it.
        parent: where the run folder is made.
        device: to simulate on.
        watcher: is told how it goes on.

    Raises:
        ScenarioError: the scenario does not fit the data, or an arm asks for more than its chip grants; nothing has run
            and no folder was made.
        RunError: the folder cannot be made.
    """
    data = DATA_SETS[scenario.data.set]()
    if scenario.data.standardise:
        data = data.standardised()
    check(scenario, data)
    folder = RunFolder.create(parent, scenario)
    begin = time.perf_counter()
    arms = {name: _run_arm(scenario, name, arm, data, folder, device, watcher) for name, arm in scenario.arms.items()}
    seed = scenario.model_dump(mode="json")["seed"]
    folder.finish(Result(name=scenario.name, seed=seed, arms=arms), time.perf_counter() - begin, device)
    return folder


def check(scenario: Scenario, data: DataSet) -> None:
    """What can only be judged with the data at hand, and what each arm may do.

    Raises:
        ScenarioError: listing every fault.
    """
    found: list[str] = []
    if scenario.network.layers[-1] != data.outputs:
        found.append(
            f"network.layers: the last layer must have the {data.outputs} outputs of {scenario.data.set} "
            f"(got {scenario.network.layers[-1]})"
        )
    if scenario.data.batch > len(data.train_inputs):
        found.append(
            f"data.batch: must not be above the {len(data.train_inputs)} training samples of {scenario.data.set} "
            f"(got {scenario.data.batch})"
        )
    for name, arm in scenario.arms.items():
        grants = Access.of(*scenario.chip.grants) | Access.of(*arm.oracle)
        try:
            lay_out(scenario, arm)
            require_access(arm.build_rule(), grants)
        except AnalogsimError as error:
            found.append(f"arms.{name}: {error}")
    if found:
        raise ScenarioError(bulleted(f"scenario {scenario.name} cannot be run:", found))


def build_chip(scenario: Scenario, network: Network, population: Population, device: torch.device) -> Chip:
    """The unprogrammed chips of an arm."""
    section = scenario.chip
    return Chip(
        network,
        population.profile,
        population=population.ids,
        seed=population.seeds,
        device=device,
        dtype=getattr(torch, section.precision),
        sampling=section.sampling,
        tile=section.tile,
        mapping=Mapping(section.mapping.range, section.mapping.per, section.mapping.headroom),
        injection=section.injection,
        grants=Access.of(*section.grants),
    )


def _run_arm(
    scenario: Scenario,
    name: str,
    arm: ArmBase,
    data: DataSet,
    folder: RunFolder,
    device: torch.device,
    watcher: Watcher | None,
) -> ArmResult:
    population = lay_out(scenario, arm)
    network = Network.mlp(
        [data.features, *scenario.network.layers], scenario.network.activation.build(), scenario.network.bias
    )
    chip = build_chip(scenario, network, population, device)
    first = Streams(population.seeds, population.ids, torch.device("cpu")).generators(Purpose.INITIAL_WEIGHTS)
    weights = network.initial_weights(scenario.network.init, [g for g in first if g is not None])
    weights = tuple(w.to(device, chip.dtype) for w in weights)
    chip.program(weights)
    task = Task(
        data, LOSSES[scenario.data.loss], scenario.data.batch, population.seeds, population.ids, device, chip.dtype
    )
    rig = Rig(chip, task, Access.of(*arm.oracle))
    optimizer = arm.optimizer or scenario.train.optimizer
    controller = Controller(
        rig,
        arm.build_rule(),
        weights,
        partial(optimizer.factory, **optimizer.options),
        population.rates,
        arm.decorrelation,
        scenario.train.chunk,
    )
    steps = scenario.train.epochs * task.steps_per_epoch
    every = scenario.train.evaluation_steps(task.steps_per_epoch)
    if watcher is not None:
        watcher.arm(name, steps)
    curves: list[Curve] = []
    for step in range(steps + 1):
        if step > 0:
            controller.step()
            rig.clock.advance(scenario.train.step_time)
            if watcher is not None:
                watcher.step(step)
        if step % every == 0 or step == steps:
            curve = _evaluate(name, rig, step, task.steps_per_epoch)
            curves.append(curve)
            folder.append(curve)
            if watcher is not None:
                watcher.evaluated(curve)
    return ArmResult(
        rule=arm.rule,
        decorrelated=arm.decorrelation is not None,
        oracle=tuple(arm.oracle),
        steps=steps,
        passes_per_step=controller.passes_per_step,
        chips=_chip_results(population, rig, controller, curves),
    )


def _evaluate(name: str, rig: Rig, step: int, steps_per_epoch: int) -> Curve:
    accuracy, loss = rig.evaluate(step)
    train = rig.training_loss() if step else torch.full_like(loss, math.nan)
    rows = torch.stack([accuracy, loss, train]).double().cpu().T.tolist()
    chips = tuple(
        Metrics(epoch=step / steps_per_epoch, test_accuracy=_finite(a), test_loss=_finite(b), train_loss=_finite(c))
        for a, b, c in rows
    )
    return Curve(arm=name, step=step, chips=chips)


def _worse(history: Sequence[Metrics]) -> bool:
    """Whether learning left a chip worse than it found it: Hiratani et al.'s crash, a loss above 1.1 x the initial."""
    first, last = history[0].test_loss, history[-1].test_loss
    return last is None or (first is not None and last > 1.1 * first)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _chip_results(
    population: Population, rig: Rig, controller: Controller, curves: Sequence[Curve]
) -> tuple[ChipResult, ...]:
    diverged, writes = controller.diverged.tolist(), rig.chip.device_writes.tolist()
    vectors, silent = (counter.tolist() for counter in controller.counters)
    sizes = torch.tensor([w[0].numel() for w in rig.chip.oracle.weights], dtype=torch.float64)
    saturated = (rig.chip.saturated.double().cpu() @ sizes / sizes.sum()).tolist()
    results = []
    for index, place in enumerate(population.coordinates):
        history = [curve.chips[index] for curve in curves]
        results.append(
            ChipResult(
                coordinates=place,
                status="diverged" if diverged[index] or _worse(history) else "finished",
                final=history[-1],
                best=max(history, key=lambda metrics: metrics.test_accuracy or 0.0),
                counts=Counts(
                    passes=rig.passes,
                    device_writes=writes[index],
                    vectors=vectors[index],
                    silent=silent[index],
                    saturated=saturated[index],
                ),
            )
        )
    return tuple(results)
