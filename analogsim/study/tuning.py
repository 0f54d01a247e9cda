"""Search of learning rates by a grid, on data that the final test never sees and on chips of its own."""

from __future__ import annotations

import math

import torch

from analogsim.results import Metrics, TunedPoint, Tuning, interval
from analogsim.study.arm import Arm, without_chip
from analogsim.study.population import lay_out
from analogsim.study.schema import Scenario
from analogsim.study.stages import last_learning, stages_of, with_optimizer
from analogsim.study.work import TuningWatcher
from analogsim.tasks import DataSet


def tune(scenario: Scenario, name: str, data: DataSet, device: torch.device, watcher: TuningWatcher) -> Tuning:
    """Search an arm's learning rate at each point of the axes, all points and rates in one population.

    Of an arm of stages that of the last stage that learns; all stages run, for each of its rates.

    Args:
        scenario: with `train.tune`.
        name: of the arm.
        data: of the scenario; only its training part is looked at.
        device: to simulate on.
        watcher: is told how it goes on.
    """
    settings = scenario.train.tune
    assert settings is not None
    first = scenario.chip.population  # the tuning chips are numbered after those that are trained later
    chip = scenario.chip.model_copy(
        update={"population": first + settings.chips, "only": tuple(range(first, first + settings.chips))}
    )
    arm = scenario.arms[name]
    plans = stages_of(scenario, arm)
    last = last_learning(plans)
    optimizer = plans[last].arm.optimizer or scenario.train.optimizer
    searched = with_optimizer(arm, last, optimizer.with_rates(settings.lr))
    train = scenario.train.model_copy(update={"metrics": ()})
    search = scenario.model_copy(update={"chip": chip, "train": train, "arms": {name: searched}})
    trained = Arm(search, name, data.held_out(settings.validation), device)
    trained.evaluate()  # what stages are judged by begins here
    while not trained.done:
        if trained.stage_done:
            trained.next_stage()
            trained.evaluate()
            continue
        trained.advance()
        watcher.tuning(name, trained.step, trained.steps)
    found: dict[str, tuple[dict[str, object], dict[float, list[Metrics]]]] = {}
    for place, seen in zip(lay_out(search, searched).coordinates, trained.evaluate().chips, strict=True):
        point = {axis: value for axis, value in without_chip(place).items() if axis != "lr"}
        _, by_rate = found.setdefault(repr(point), (point, {}))
        by_rate.setdefault(place["lr"], []).append(seen)
    points = []
    for point, by_rate in found.values():
        accuracy = tuple(_mean([seen.test_accuracy for seen in by_rate[rate]]) for rate in settings.lr)
        loss = tuple(_mean([seen.test_loss for seen in by_rate[rate]]) for rate in settings.lr)
        if data.classes:
            cost, loss = [-(each or 0.0) for each in accuracy], ()
        else:
            cost = [math.inf if each is None else each for each in loss]
        chosen = min(zip(cost, settings.lr, strict=True))[1]
        points.append(TunedPoint(point=point, accuracy=accuracy, loss=loss, chosen=chosen))
    return Tuning(lr=settings.lr, validation=settings.validation, chips=settings.chips, points=tuple(points))


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return interval(known)[0] if len(known) == len(values) else None
