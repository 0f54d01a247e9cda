"""Angles of node perturbation's updates to backpropagation's, against the number of noise iterations.

Figures 2, 7 and 8 of S. Dalm, M. van Gerven, N. Ahmad, "Node Perturbation Can Effectively Train Multi-Layer Neural
Networks": three hidden layers of 1024 leaky ReLU units, a batch of 1000, noise variance 1e-6 (their Appendices F to H).
Synthetic data in CIFAR-10's shape: standard normal inputs of 3072 features, one of ten classes at random. Noise-free
chips; double precision, in which a difference of two losses is not made of rounding.

    python benchmarks/dalm_angles.py              # docs/results/dalm-angles.csv and docs/figures/dalm-angles.png
    python benchmarks/dalm_angles.py --draw       # the figure alone, from the table
"""

from __future__ import annotations

import argparse
import csv
import itertools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from analogsim.chip import Chip
from analogsim.diagnostics import Gradient, angle, angles_against_samples
from analogsim.learning import RULES, Copy
from analogsim.network import LeakyReLU, Network
from analogsim.port import Access, Pass, Periphery
from analogsim.randomness import Purpose
from analogsim.report.style import COLOURS, STYLE, save
from analogsim.results import interval
from analogsim.study.rig import Rig
from analogsim.tasks import LOSSES, DataSet, Task
from device_models import load_profile

DOCS = Path(__file__).parents[1] / "docs"
TITLES = {"np": "NP", "anp": "ANP", "inp": "INP"}
"""The rules that are compared."""
SLOPE = 0.2
"""Of the leaky ReLU: that of the authors' released code."""


@dataclass(frozen=True)
class Setting:
    """What is measured on.

    Attributes:
        sizes: units from input to output.
        batch: samples.
        dtype: floating-point format.
    """

    sizes: tuple[int, ...] = (3072, 1024, 1024, 1024, 10)
    batch: int = 1000
    dtype: torch.dtype = torch.float64


SMALL = Setting((32, 32, 32, 32, 10), 50)
"""On which many iterations are cheap: where the angles end."""


@dataclass(frozen=True)
class Bench:
    """One network on a noise-free chip, with its batch and its gradient there."""

    rig: Rig
    copy: Copy
    gradient: Gradient
    inputs: Tensor

    @classmethod
    def of(cls, setting: Setting, seed: int) -> Bench:
        """The network of a seed: He-normal weights, no biases yet, a batch of its own."""
        network = Network.mlp(setting.sizes, LeakyReLU(SLOPE))
        chip = Chip(network, load_profile("ideal"), 1, seed, dtype=setting.dtype)
        first, data_source = (
            [g for g in chip.streams.generators(purpose) if g is not None]
            for purpose in (Purpose.INITIAL_WEIGHTS, Purpose.DATA_ORDER)
        )
        weights = tuple(w.to(setting.dtype) for w in network.initial_weights("he_normal", first))
        chip.program(weights)
        inputs = torch.randn(setting.batch, setting.sizes[0], generator=data_source[0])
        classes = torch.randint(0, setting.sizes[-1], (setting.batch,), generator=data_source[0])
        targets = torch.nn.functional.one_hot(classes, setting.sizes[-1]).float()
        data = DataSet(inputs, targets, inputs, targets)
        task = Task(data, LOSSES["cross_entropy"], setting.batch, [seed], [0], chip.device, setting.dtype)
        rig = Rig(chip, task, Access.CLEAN_PASS)
        rig.next_batch()
        copy = Copy(network, weights, Periphery((None,) * network.depth), rig.limits)
        seen = rig.run((Pass(clean=True),))[0].inputs  # in the batch's own order
        assert seen is not None
        return cls(rig, copy, rig.gradient(), seen[0][:, 0, :, : network.inputs].clone())

    def angles(self, name: str, variance: float, counts: Sequence[int], chunk: int = 1) -> list[list[float]]:
        """Of a rule's update to the gradient, by number of noise iterations and layer, degrees."""
        rule = RULES[name].model_validate({"sigma": variance**0.5, "baseline": "clean"})
        state = rule.init(self.copy, [torch.Generator().manual_seed(0)])
        self.rig.chip.streams.restart(Purpose.INJECTION, 0)  # every rule meets the same noise
        found = angles_against_samples(rule, self.rig, self.copy, state, counts, self.gradient.weights, chunk)
        return torch.stack(found, dim=1)[:, :, 0].tolist()


def expected_anp(gradient: Gradient, copy: Copy, inputs: Tensor) -> tuple[Tensor, ...]:
    """The mean of ANP's estimate, without its factor N, per layer (1, B, units); to first order in sigma.

    dL = h . eps and da = T eps, with h the gradients g_l of all layers and T the derivative of pre-activations by the
    noise, so E[da dL] = sigma^2 T h: in two layers g_1 below and (I + J J^T) g_2 above, with J = W_2 diag f'(a_1). ANP
    divides by ||da||^2, which is not independent of that. With T^T T = Q diag(lambda) Q^T

        E[da dL / ||da||^2] = T Q diag(c) Q^T h,
        c_i = int_0^inf (1 + 2 lambda_i t)^-1 prod_j (1 + 2 lambda_j t)^(-1/2) dt,

    from 1 / s = int exp(-s t) dt.

    Args:
        gradient: of the batch.
        copy: network and weights, one chip; dense layers.
        inputs: (1, B, features).
    """
    network, x, count = copy.network, inputs, inputs.shape[1]
    rows = [x.new_zeros(count, network.inputs, network.units)]  # nothing moves the inputs
    slope, place, units = torch.zeros_like(x[0]), 0, [layer.units for layer in network.layers]
    for layer, w in zip(network.layers, copy.weights, strict=True):
        moved = w[0, :, : layer.fan_in] @ (slope[:, :, None] * rows[-1])
        moved[:, range(layer.units), range(place, place + layer.units)] += 1
        rows.append(moved)
        a = layer.drive(x) @ w.transpose(1, 2)
        x, slope, place = layer.finish(a), layer.activation.derivative(a)[0], place + layer.units
    t = torch.cat(rows[1:], dim=1)
    scale, q = torch.linalg.eigh(t.mT @ t)
    h = torch.cat(gradient.pre_activations, dim=2)[0, :, :, None]
    means = t @ (q @ (_means_of_shares(scale.clamp(min=0))[:, :, None] * (q.mT @ h)))
    return means[None, :, :, 0].split(units, dim=2)


def bias_angles(bench: Bench) -> list[float]:
    """Where ANP ends, by layer, degrees: the angle of its update with infinitely many iterations.

    The first layer's estimate is unbiased but for a factor that differs between batch elements.
    """
    posts, x, found = expected_anp(bench.gradient, bench.copy, bench.inputs), bench.inputs, []
    for layer, w, post, g in zip(
        bench.copy.network.layers, bench.copy.weights, posts, bench.gradient.weights, strict=True
    ):
        v = layer.drive(x)
        found.append(float(angle(layer.outer(post, v, None), g)))
        x = layer.finish(layer.product(w, v, None))
    return found


def _means_of_shares(scale: Tensor) -> Tensor:
    """c_i = E[z_i^2 / sum_j lambda_j z_j^2] of standard normal z, for lambda (..., N): the trapezoid rule in ln t.

    It converges fast, as the integrand vanishes with all its derivatives at both ends.
    """
    total = scale.sum(-1, keepdim=True)
    step, found = 0.05, torch.zeros_like(scale)
    for u in torch.arange(-25.0, 25.0, step, dtype=torch.float64).tolist():
        t = math.exp(u) / total
        damped = -torch.log1p(2 * t * scale).sum(-1, keepdim=True) / 2
        found += t * torch.exp(damped) / (1 + 2 * t * scale) * step
    return found


def measure(
    nets: int, setting: Setting, counts: Sequence[int], variances: Sequence[float], chunk: int = 1
) -> Iterator[dict]:
    """Rows of the table: angle by rule, net, variance of the noise, number of iterations and layer."""
    for seed in range(nets):
        bench = Bench.of(setting, seed)
        for variance, name in itertools.product(variances, TITLES):
            found = bench.angles(name, variance, counts, chunk)
            for count, by_layer in zip(counts, found, strict=True):
                for k, value in enumerate(by_layer):
                    yield _row(name, setting, variance, seed, count, k + 1, value)


def _row(rule: str, setting: Setting, variance: float, seed: int, count: int, layer: int, value: float) -> dict:
    return {
        "rule": rule,
        "sizes": "-".join(map(str, setting.sizes)),
        "batch": setting.batch,
        "precision": str(setting.dtype).removeprefix("torch."),
        "variance": f"{variance:g}",
        "net": seed,
        "iterations": count,
        "layer": layer,
        "degrees": f"{value:.5f}",
    }


COUNTS = (1, 2, 3, 5, 7, 10, 15, 20, 25, 30)
MANY = (1, 3, 10, 30, 100, 300, 1000, 3000, 10000)
VARIANCES = tuple(10.0**k for k in (-10, -9, -8, -7, -6, -5, -4, -3, -2, -1, 0))
PAPER_VARIANCE = 1e-6
SWEPT, SWEPT_COUNT, SWEPT_SMALL = 2, 4, 800
"""Nets and noise iterations of the sweeps of variances: numbers that are not among `COUNTS` and `MANY`."""


def table(nets: int) -> Iterator[dict]:
    """All rows: the paper's network, where angles end on a small one, and sweeps of variances on both."""
    yield from measure(nets, Setting(), COUNTS, [PAPER_VARIANCE])
    yield from measure(SWEPT + 1, SMALL, MANY, [PAPER_VARIANCE], 200)
    for seed in range(SWEPT + 1):
        for k, value in enumerate(bias_angles(Bench.of(SMALL, seed))):
            yield _row("anp-end", SMALL, PAPER_VARIANCE, seed, 0, k + 1, value)
    for dtype in (torch.float64, torch.float32):
        yield from measure(SWEPT, Setting(dtype=dtype), (SWEPT_COUNT,), VARIANCES)
    yield from measure(SWEPT, SMALL, (SWEPT_SMALL,), VARIANCES[2:], 200)


def means(rows: Sequence[dict], **chosen: str) -> dict[str, dict[float, tuple[float, float]]]:
    """By rule and number of iterations the mean angle over nets, and half its 95 % interval."""
    groups: dict[str, dict[float, list[float]]] = {}
    for row in rows:
        if all(row[key] == value for key, value in chosen.items()):
            key = float(row["iterations"] if "iterations" not in chosen else row["variance"])
            groups.setdefault(row["rule"], {}).setdefault(key, []).append(float(row["degrees"]))
    found = {}
    for rule, by_count in groups.items():
        summary = {count: interval(values) for count, values in by_count.items()}
        found[rule] = {count: (mean, half or 0.0) for count, (mean, half) in summary.items()}
    return found


def draw(rows: Sequence[dict], file: Path) -> None:
    """The paper's three figures (the last for few and for many iterations), and where the angles end, one row each."""
    big, small = ("-".join(map(str, setting.sizes)) for setting in (Setting(), SMALL))
    variance, double = f"{PAPER_VARIANCE:g}", "float64"
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11.5, 15), layout="constrained")
        panels = figure.subplots(5, 4)
        for k in range(4):
            layer, name = str(k + 1), f"layer {k + 1}" if k < 3 else "output layer"
            here = means(rows, sizes=big, variance=variance, layer=layer, precision=double)
            here = {rule: {n: v for n, v in line.items() if n != SWEPT_COUNT} for rule, line in here.items()}
            _lines(panels[0, k], here)
            passes = {"inp": 4}
            _lines(panels[1, k], {r: {n * passes.get(r, 1): v for n, v in line.items()} for r, line in here.items()})
            for precision, style in ((double, "-"), ("float32", ":")):
                swept = means(rows, sizes=big, layer=layer, precision=precision, iterations=str(SWEPT_COUNT))
                _lines(panels[2, k], swept, style, band=False)
            swept = means(rows, sizes=small, layer=layer, iterations=str(SWEPT_SMALL))
            _lines(panels[3, k], swept, band=False)
            here = means(rows, sizes=small, layer=layer, variance=variance)
            here = {rule: {n: v for n, v in line.items() if n != SWEPT_SMALL} for rule, line in here.items()}
            ends = here.pop("anp-end")
            _lines(panels[4, k], here)
            panels[4, k].axhline(ends[0.0][0], color="0.3", linestyle="--", linewidth=1.2, label="ANP's bias angle")
            panels[0, k].set_title(name, loc="left", fontsize=10)
            panels[0, k].set_xlabel("noise iterations")
            panels[1, k].set_xlabel("noisy forward passes")
            panels[2, k].set_xlabel(f"variance of the noise, {SWEPT_COUNT} iterations")
            panels[3, k].set_xlabel(f"variance of the noise, {SWEPT_SMALL} iterations")
            panels[4, k].set_xlabel("noise iterations")
            for panel in panels[2:, k]:
                panel.set_xscale("log")
        for index, row in enumerate(panels):
            row[0].set_ylabel(f"{big if index < 3 else small}\nangle to BP's update, degrees")
        panels[0, 3].legend()
        panels[2, 3].plot([], [], "-", color="0.3", label="float64")
        panels[2, 3].plot([], [], ":", color="0.3", label="float32")
        panels[2, 3].legend(*_last(panels[2, 3], 2))
        panels[4, 3].legend(*_last(panels[4, 3], 1))
        save(figure, [file])


def _lines(
    panel: Axes, lines: dict[str, dict[float, tuple[float, float]]], style: str = "-", band: bool = True
) -> None:
    for index, (rule, title) in enumerate(TITLES.items()):
        points = sorted(lines.get(rule, {}).items())
        if points:
            x, mean, half = ([p[0] for p in points], [p[1][0] for p in points], [p[1][1] for p in points])
            panel.plot(x, mean, style, color=COLOURS[index], linewidth=1.6, label=title)
            if band:
                low, high = ([m + s * h for m, h in zip(mean, half, strict=True)] for s in (-1, 1))
                panel.fill_between(x, low, high, color=COLOURS[index], alpha=0.2, linewidth=0)


def _last(panel: Axes, count: int) -> tuple[list, list]:
    handles, labels = panel.get_legend_handles_labels()
    return handles[-count:], labels[-count:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", type=int, default=5, help="networks of the paper's size")
    parser.add_argument("--draw", action="store_true", help="draw the figure from the table, measure nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    path = DOCS / "results" / "dalm-angles.csv"
    if not arguments.draw:
        start = time.process_time()
        path.parent.mkdir(exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(_row("", Setting(), 0.0, 0, 0, 0, 0.0)), lineterminator="\n")
            writer.writeheader()
            for row in table(arguments.nets):
                writer.writerow(row)
                file.flush()
        print(f"{time.process_time() - start:.0f} s of CPU time")
    with path.open(newline="") as file:
        draw(list(csv.DictReader(file)), DOCS / "figures" / "dalm-angles.png")


if __name__ == "__main__":
    main()
