"""Run a scenario: every arm trains the same chips from the same initial weights."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import torch

from analogsim.errors import AnalogsimError, DataError, ScenarioError
from analogsim.learning.controller import require_access, require_derivatives
from analogsim.network import Network, Softmax
from analogsim.port import Access
from analogsim.results import ArmResult, Curve, Result, Tuning
from analogsim.study.arm import Arm
from analogsim.study.checkpoint import Checkpoint, Checkpoints
from analogsim.study.folder import RunFolder, environment
from analogsim.study.profiles import profiles_of
from analogsim.study.scenario import lay_out
from analogsim.study.schema import ArmBase, Scenario
from analogsim.study.stages import StagePlan, last_learning, stages_of
from analogsim.study.tuning import tune
from analogsim.tasks import DATA_SETS, DataSet
from device_models.errors import bulleted
from device_models.units import Each


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

    def note(self, text: str) -> None:
        """Something that a person wants to know."""


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
        RunError: the folder cannot be made or written.
    """
    watcher = watcher or Nobody()
    data = load_data(scenario)
    check(scenario, data)
    folder = RunFolder.create(parent, scenario)
    with folder.locked():
        watcher.note(f"run folder: {folder.path} (if interrupted: analogsim resume {folder.path})")
        go_on(scenario, data, folder, device, watcher)
    return folder


def go_on(
    scenario: Scenario,
    data: DataSet,
    folder: RunFolder,
    device: torch.device,
    watcher: Watcher,
    begin: Checkpoint | None = None,
) -> None:
    """Work off what is left of a run.

    Args:
        scenario: of the run.
        data: as `load_data` gives it.
        folder: of the run, locked; its metrics.jsonl ends where `begin` was made.
        device: to simulate on.
        watcher: is told how it goes on.
        begin: where to go on; None: at the beginning.
    """
    start = time.perf_counter() - (begin.seconds if begin else 0.0)
    checkpoints, scenario_checksum = Checkpoints(folder.checkpoints), folder.scenario_checksum()
    finished: dict[str, ArmResult] = dict(begin.finished) if begin else {}
    tuned: dict[str, Tuning] = dict(begin.tuned) if begin else {}

    def save(arm: Arm | None) -> None:
        checkpoints.save(
            Checkpoint(
                scenario=scenario_checksum,
                environment=environment(device),
                seconds=time.perf_counter() - start,
                metrics=folder.mark(),
                finished=finished,
                tuned=tuned,
                arm=arm.name if arm else None,
                state=arm.state_dict() if arm else None,
            )
        )

    for name in scenario.arms:
        if name in finished:
            watcher.arm(name, finished[name].steps)
            watcher.step(finished[name].steps)
            continue
        if scenario.train.tune is not None and name not in tuned:
            tuned[name] = tune(scenario, name, data, device, watcher)
            save(None)
        arm = Arm(scenario, name, data, device, tuned.get(name))
        watcher.arm(name, arm.steps)
        if begin is not None and begin.state is not None and begin.arm == name:
            arm.load_state_dict(begin.state, folder.curves(name))
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
        arm.age()
        finished[name] = arm.result()
        save(None)
    seed = scenario.model_dump(mode="json")["seed"]
    result = Result(name=scenario.name, seed=seed, arms={name: finished[name] for name in scenario.arms})
    folder.finish(result, time.perf_counter() - start, device)
    checkpoints.remove()


def _evaluate(arm: Arm, folder: RunFolder, watcher: Watcher) -> None:
    curve = arm.evaluate()
    folder.append(curve)
    watcher.evaluated(curve)


def load_data(scenario: Scenario) -> DataSet:
    """The data set that a scenario names, as it asks for it.

    Raises:
        ScenarioError: it cannot be had so.
        DataError: its files are missing or damaged.
    """
    section = scenario.data
    data = DATA_SETS[section.set]()
    for key in ("samples", "pool"):
        number = getattr(section, key)
        try:
            data = data if number is None else data.first(number) if key == "samples" else data.pooled(number)
        except DataError as error:
            raise ScenarioError(f"scenario {scenario.name} cannot be run: data.{key}: {error}") from None
    data = data.standardised() if section.standardise else data
    return data.autoencoding() if section.target == "input" else data


def check(scenario: Scenario, data: DataSet) -> None:
    """What can only be judged with the data at hand, and what each arm may do.

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
    if scenario.train.later and not data.classes:
        found.append("train.later: records accuracies, and with data.target: input there are none; leave it out")
    if scenario.train.tune is not None:
        left = len(data.train_inputs) - scenario.train.tune.validation
        if left < scenario.data.batch:
            found.append(
                f"train.tune.validation: holding out {scenario.train.tune.validation} of "
                f"{len(data.train_inputs)} training samples leaves no batch of {scenario.data.batch}"
            )
    for name, arm in scenario.arms.items():
        plans = stages_of(scenario, arm)
        for index, plan in enumerate(plans):
            where = f"arms.{name}.stages.{index}" if len(plans) > 1 else f"arms.{name}"
            found += _stage_faults(scenario, plan, where, network, index == last_learning(plans))
        try:
            lay_out(scenario, arm)
        except AnalogsimError as error:
            found.append(f"arms.{name}: {error}")
    if found:
        raise ScenarioError(bulleted(f"scenario {scenario.name} cannot be run:", list(dict.fromkeys(found))))


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


def _companion_faults(arm: ArmBase, where: str, depth: int, rate: float) -> Iterator[str]:
    """What companions cannot do on a network of this depth with this learning rate."""
    try:
        if arm.decorrelation is not None:
            arm.decorrelation.indices(depth)
        if arm.weight_decay is not None:
            arm.weight_decay.check(rate)
    except ValueError as error:
        yield f"{where}: {error}"
