"""Node perturbation in linear networks, measured: how it learns, when it crashes, how close it comes to the gradient.

    python benchmarks/hiratani.py [--parts trajectories noise width] [--steps 100000] [--seeds 10] [--out docs/results]

The problem of N. Hiratani, Y. Mehta, T. Lillicrap, P. Latham, NeurIPS 2022: float64, one sample a step, sigma 1e-6.

- `trajectories`: 100-10000-10 without teacher noise, at 0.8, 1, 1.2 and 1.4 of the critical rate, by
  `analogsim.theory.RotatedSimulation`: a step through a chip would move a million device pairs, the rotated one is as
  exact and moves fewer than 180 x 110 numbers. Tests hold it against the rule on a chip, number by number.
- `noise`: with a teacher noise of variance 0.1: the same network rotated, and 20-200-4 on ideal chips through the whole
  path of rule, controller and writes, with and without weight normalisation.
- `width`: cosines between the rule's updates and gradients on ideal chips, by width of the hidden layer.

One CSV each; lines that begin with # are comments. One thread: about ten minutes for all.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from analogsim.chip import Chip, Mapping
from analogsim.learning import RULES, Controller, Copy, WeightNormalisation
from analogsim.network import Identity, Network
from analogsim.port import Periphery
from analogsim.randomness import Purpose
from analogsim.study.rig import Rig
from analogsim.tasks.teacher import LinearTeacher
from analogsim.theory import MeanField, RotatedSimulation, StudentTeacher, mean_cosine, two_variable_error
from device_models import load_profile

PAPER, SMALL = StudentTeacher(100, 10000, 10), StudentTeacher(20, 200, 4)
RATES, NOISE, SIGMA = (0.8, 1.0, 1.2, 1.4), math.sqrt(0.1), 1e-6
WIDTHS = (16, 32, 64, 128, 256, 512, 1024, 2048)


class Student:
    """C ideal chips that learn from linear teachers, each from its own, by the project's own rule.

    Args:
        problem: sizes.
        chips: C.
        noise: sigma_t.
        batch: samples of a step.
        init: of the weights.
    """

    def __init__(
        self, problem: StudentTeacher, chips: int, noise: float = 0.0, batch: int = 1, init: str = "glorot_normal"
    ) -> None:
        self.network = Network.mlp([problem.inputs, problem.hidden, problem.outputs], Identity(), bias=False)
        follow = Mapping(range="follow")  # no clipping: a crash is to be seen
        chip = Chip(self.network, load_profile("ideal"), chips, 0, dtype=torch.float64, mapping=follow)
        drawn = self.network.initial_weights(init, chip.streams.generators(Purpose.INITIAL_WEIGHTS))
        self.weights = [w.double() for w in drawn]
        chip.program(self.weights)
        self.task = LinearTeacher(problem.inputs, problem.outputs, [0] * chips, range(chips), noise=noise, batch=batch)
        self.rig = Rig(chip, self.task)
        self.rule = RULES["np"](sigma=SIGMA, baseline="shared")

    def controller(self, rate: float, normalised: bool = False) -> Controller:
        """What trains them: plain steps of the gradient's estimate."""
        companion = WeightNormalisation() if normalised else None
        return Controller(self.rig, self.rule, self.weights, torch.optim.SGD, rate, normalisation=companion)

    def errors(self, weights: Sequence[Tensor]) -> Tensor:
        """eps of each chip at given weights, (C,)."""
        return (weights[1] @ weights[0] - self.task.teachers).square().mean((1, 2))

    def learn(self, rate: float, steps: Iterable[int], normalised: bool = False) -> np.ndarray:
        """eps at given steps, (steps, C); inf for chips that have diverged."""
        controller, found = self.controller(rate, normalised), []
        for step in steps:
            while controller.steps < step and not controller.diverged.all():
                controller.step()
            found.append(torch.where(controller.diverged, math.inf, self.errors(controller.copy.weights)).numpy())
        return np.array(found)

    def updates(self) -> tuple[list[Tensor], list[Tensor]]:
        """One draw of a whole batch: per layer the rule's estimates of dL/da, and dL/da itself, (C, B, units)."""
        plan = self.rule.plan(self.network)
        inputs, targets = self.task.next_batch()
        self.rig.task = _Held(self.task, inputs, targets)
        self.rig.next_batch()
        assert plan.baseline is not None
        baseline, *probes = self.rig.run((plan.baseline, *plan.probes))
        copy = Copy(self.network, tuple(self.weights), Periphery((None,) * 2), self.rig.limits)
        state = self.rule.init(copy, [])
        updates, _ = self.rule.update(baseline, self.rule.estimate(baseline, probes, self.network), None, copy, state)
        first, second = self.weights
        error = inputs @ first.transpose(1, 2) @ second.transpose(1, 2) - targets
        return [each.post for each in updates if each.post is not None], [error @ second, error]


class _Held:
    """A batch that is handed out again."""

    def __init__(self, task: LinearTeacher, inputs: Tensor, targets: Tensor) -> None:
        self.loss, self._batch = task.loss, (inputs, targets)

    def next_batch(self) -> tuple[Tensor, Tensor]:
        return self._batch


def cosines(width: int, samples: int) -> list[tuple[Tensor, Tensor]]:
    """Per layer of 10-width-5: cosines between updates and gradients, and shares |g_k|/|g|, of single samples."""
    found = Student(StudentTeacher(10, width, 5), 1, batch=samples, init="he_normal").updates()
    power = torch.stack([g.square().sum(2) for g in found[1]]).sum(0)
    cosine = torch.nn.functional.cosine_similarity
    return [
        (cosine(update, g, dim=2)[0], (g.square().sum(2) / power).sqrt()[0]) for update, g in zip(*found, strict=True)
    ]


def exponent(widths: Sequence[int], means: Sequence[float], errors: Sequence[float]) -> tuple[float, float]:
    """Slope of ln(mean) over ln(width) by weighted least squares, and its standard error."""
    x, y = np.log(np.array(widths, float)), np.log(np.array(means, float))
    weights = (np.array(means) / np.array(errors)) ** 2
    x = x - np.average(x, weights=weights)
    spread = float((weights * x * x).sum())
    return float((weights * x * y).sum() / spread), spread**-0.5


def trajectories(steps: int, seeds: int) -> tuple[list[str], list[list[Any]]]:
    """ln(eps/eps_0) of simulations and theories."""
    times = [t for t in (*range(0, 20000, 250), *range(20000, steps + 1, 1000)) if t <= steps]
    rates = [factor * PAPER.critical_rate for factor in RATES]
    simulation = RotatedSimulation(
        PAPER, np.repeat(rates, seeds).tolist(), [s for _ in RATES for s in range(seeds)], sigma=SIGMA
    )
    first, logs = simulation.order_parameters()[:, 2], []
    for time in times:
        simulation.run(time)
        logs.append(np.where(simulation.crashed < 0, np.log(simulation.order_parameters()[:, 2] / first), np.nan))
    rows = []
    for index, (factor, rate) in enumerate(zip(RATES, rates, strict=True)):
        runs = np.array(logs)[:, index * seeds : (index + 1) * seeds]
        theories = [
            MeanField(PAPER, rate, finite_size=False).trajectory(times)[:, 2],
            MeanField(PAPER, rate, finite_size=True).trajectory(times)[:, 2],
            two_variable_error(PAPER, rate, times),
        ]
        for row, time in enumerate(times):
            alive = runs[row][np.isfinite(runs[row])]
            whole = len(alive) == seeds
            rows.append(
                [factor, time, len(alive)]
                + [f"{alive.mean():.5f}" if whole else "", f"{_error(alive):.5f}" if whole else ""]
                + [f"{end(alive):.5f}" if len(alive) else "" for end in (np.min, np.max)]
                + [f"{_log(theory[row] / PAPER.start.eps):.5f}" for theory in theories]
            )
        crashed = simulation.crashed[index * seeds : (index + 1) * seeds]
        print(f"rate {factor} eta*: over at steps {crashed.tolist()} (-1: not)", flush=True)
    header = "rate [eta*],step,running,mean,standard error,lowest,highest,mean field,finite size,two variables"
    return header.split(","), rows


def noise(steps: int, seeds: int) -> tuple[list[str], list[list[Any]]]:
    """ln(eps/eps_0) at the critical rate with teacher noise, over runs; inf once one is over."""
    times = list(range(0, min(steps, 20000) + 1, 100))
    rows = []
    rotated = RotatedSimulation(PAPER, PAPER.critical_rate, range(seeds), teacher_noise=NOISE, sigma=SIGMA)
    first, theory = rotated.order_parameters()[:, 2], MeanField(PAPER, PAPER.critical_rate, NOISE, True)
    for time, (_, _, eps, _) in zip(times, theory.trajectory(times), strict=True):
        rotated.run(time)
        ratio = np.where(rotated.crashed < 0, rotated.order_parameters()[:, 2] / first, np.inf)
        rows.append(["100-10000-10", "rotated", time, *_summary(ratio), f"{_log(eps / PAPER.start.eps):.5f}"])
    times = times[:41]
    for name, normalised in (("chips", False), ("chips, normalised", True)):
        student = Student(SMALL, seeds, NOISE)
        errors = student.learn(SMALL.critical_rate, times, normalised)
        for time, eps in zip(times, errors, strict=True):
            rows.append(["20-200-4", name, time, *_summary(eps / errors[0]), ""])
    return ["network", "runs", "step", "mean", "lowest", "highest", "mean field"], rows


def width(steps: int, seeds: int) -> tuple[list[str], list[list[Any]]]:
    """Mean cosines of single samples by width, with the closed form."""
    samples, rows, means = 4000, [], {0: [], 1: []}
    for units in WIDTHS:
        for layer, (cosine, share) in enumerate(cosines(units, samples)):
            own = (units, 5)[layer]
            expected = np.mean([mean_cosine(own, float(s)) for s in share])
            means[layer].append((float(cosine.mean()), _error(cosine.numpy())))
            mean, error = means[layer][-1]
            rows.append([units, layer + 1, own, samples, f"{mean:.6f}", f"{error:.6f}", f"{expected:.6f}"])
    for layer in means:
        slope, error = exponent(WIDTHS, *zip(*means[layer], strict=True))
        print(f"layer {layer + 1}: exponent {slope:.4f} +- {error:.4f}, {samples} samples at each width", flush=True)
    return ["width", "layer", "units", "samples", "cosine", "standard error", "closed form"], rows


def _summary(ratios: np.ndarray) -> list[str]:
    logs = np.log(np.where(np.isfinite(ratios), ratios, np.inf))
    return [f"{end(logs):.5f}" for end in (np.mean, np.min, np.max)]


def _error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values)))


def _log(ratio: float) -> float:
    return math.log(ratio) if ratio > 0 else -math.inf


PARTS = {"trajectories": trajectories, "noise": noise, "width": width}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    for part in options.parts:
        header, rows = PARTS[part](options.steps, options.seeds)
        with (options.out / f"hiratani-{part}.csv").open("w", newline="") as file:
            file.write(f"# benchmarks/hiratani.py --parts {part} --steps {options.steps} --seeds {options.seeds}\n")
            csv.writer(file, lineterminator="\n").writerows([header, *rows])


if __name__ == "__main__":
    main()
