"""How well learned feedback weights find the weights, W held fixed (Lansdell et al., ICLR 2020, Fig. 4).

    ANALOGSIM_DATA=DIR python benchmarks/learned_feedback.py [--data mnist] [--profile ideal] [--steps 10000]
        [--csv FILE] [--figure FILE]

784-50-20-10, sigmoid hidden layers, linear output, squared loss, weights N(0, 2 / fan_in), batch 32, ridge with penalty
0.1, perturbations of standard deviation c after the activation functions, one a step. Of each layer with feedback
weights: ||B - W|| / ||W||; the angle between the derivatives by the pre-activations below it that B and W send back,
over 1,000 test images; the share of equal signs. Each chip has weights and an order of data of its own.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from matplotlib.figure import Figure
from torch import Tensor

from analogsim.chip import Chip
from analogsim.learning import RULES, Controller, Copy
from analogsim.learning.feedback import send_back
from analogsim.learning.rule import Activities, backpropagate
from analogsim.network import Network, Sigmoid
from analogsim.port import Access
from analogsim.randomness import Purpose
from analogsim.report.style import COLOURS, STYLE, save
from analogsim.results import interval
from analogsim.study.rig import Rig
from analogsim.tasks import DATA_SETS, LOSSES, DataSet, Task
from device_models import load_profile

HIDDEN = (50, 20)
NOISE = (1e-3, 1e-2, 1e-1)
FOREVER = 1 << 40


def look(copy: Copy, feedback: Sequence[Tensor], x: Tensor, t: Tensor) -> Iterator[dict[str, list[float]]]:
    """Of each layer with feedback weights, from the first: the three numbers of each chip."""
    inputs, pre = [], []
    for layer, w in zip(copy.network.layers, copy.weights, strict=True):
        inputs.append(layer.drive(x))
        pre.append(layer.product(w, inputs[-1], None))
        x = layer.finish(pre[-1])
    seen = Activities(tuple(inputs), tuple(pre), (None,) * len(pre))
    true = backpropagate(copy, copy.weights, x - t, seen)
    found = send_back(copy, "fa", feedback, x - t, seen)
    for index, b in enumerate(feedback):
        w = copy.weights[index + 1][:, :, : b.shape[2]]
        cosine = torch.nn.functional.cosine_similarity(found[index].flatten(1), true[index].flatten(1))
        yield {
            "relative_error": ((b - w).flatten(1).norm(dim=1) / w.flatten(1).norm(dim=1)).tolist(),
            "angle": cosine.clamp(-1, 1).acos().rad2deg().tolist(),
            "sign_agreement": (b.sign() == w.sign()).flatten(1).double().mean(1).tolist(),
        }


def measure(data: DataSet, profile: str, noise: float, chips: int, marks: Sequence[int]) -> list[dict[str, Any]]:
    """Rows of one noise level: means over chips, and half their 95 % intervals."""
    network = Network.mlp([data.features, *HIDDEN, data.outputs], Sigmoid())
    ids, cpu = list(range(chips)), torch.device("cpu")
    chip = Chip(network, load_profile(profile), chips, dtype=torch.float64)
    generators = [g for g in chip.streams.generators(Purpose.INITIAL_WEIGHTS) if g is not None]
    weights = tuple(w.double() for w in network.initial_weights("he_normal", generators))
    chip.program(weights)
    task = Task(data, LOSSES["squared"], 32, [0] * chips, ids, cpu, torch.float64)
    rule = RULES["learned_feedback"].model_validate({"solver": "ridge", "sigma": noise, "warm_up": FOREVER})
    rig = Rig(chip, task, Access.OUTPUT_ERROR)
    rig.calibrate()
    rules = [g for g in chip.streams.generators(Purpose.RULE) if g is not None]
    controller = Controller(rig, rule, weights, torch.optim.SGD, 1.0, generators=rules)
    x, t = (each[:1000].double().expand(chips, -1, -1) for each in (data.test_inputs, data.test_targets))
    rows = []
    for step in range(max(marks) + 1):
        if step in marks:
            for layer, found in enumerate(look(controller.copy, controller.state.feedback, x, t), start=1):
                row: dict[str, Any] = {"noise": noise, "step": step, "layer": layer}
                for name, values in found.items():
                    row[name], half = interval(values)
                    row[f"{name}_half"] = 0.0 if half is None else half
                rows.append(row)
        if step < max(marks):
            controller.step()
    return rows


def draw(rows: Sequence[dict[str, Any]], file: Path, title: str) -> None:
    """Relative error and angle against steps, a line for each layer and noise level."""
    layers = sorted({row["layer"] for row in rows})
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 3.8), layout="constrained")
        panels = figure.subplots(1, 2)
        for panel, name, label in zip(
            panels,
            ("relative_error", "angle"),
            ("relative error of B", "angle to the true gradient, degrees"),
            strict=True,
        ):
            for colour, noise in zip(COLOURS, sorted({row["noise"] for row in rows}), strict=False):
                for style, layer in zip(("--", "-"), layers, strict=True):
                    chosen = [row for row in rows if (row["noise"], row["layer"]) == (noise, layer) and row["step"]]
                    place = "upper" if layer == layers[-1] else "lower"
                    steps, mean = ([row[key] for row in chosen] for key in ("step", name))
                    panel.plot(steps, mean, style, color=colour, label=f"{place} B, c = {noise:g}", linewidth=1.6)
            panel.set_xscale("log")
            panel.set_yscale("log")
            panel.set_xlabel("steps of 32 images")
            panel.set_ylabel(label)
        panels[0].legend(fontsize=8)
        figure.suptitle(title, fontsize=10)
        save(figure, [file])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="mnist", choices=sorted(DATA_SETS))
    parser.add_argument("--profile", default="ideal")
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--chips", type=int, default=5)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--figure", type=Path)
    settings = parser.parse_args()
    torch.set_num_threads(1)
    data = DATA_SETS[settings.data]()
    count = max(2, 4 * math.ceil(math.log10(settings.steps)) + 1)
    marks = sorted({0, *(round(10 ** (math.log10(settings.steps) * i / (count - 1))) for i in range(count))})
    rows = []
    for noise in NOISE:
        found = measure(data, settings.profile, noise, settings.chips, marks)
        rows += found
        for row in found[-2:]:
            print({key: f"{value:.4g}" for key, value in row.items()}, flush=True)
    if settings.csv:
        with settings.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows({k: v if isinstance(v, int) else f"{v:.5g}" for k, v in row.items()} for row in rows)
    if settings.figure:
        draw(rows, settings.figure, f"{settings.data}, {settings.profile} chip, {settings.chips} networks, W fixed")


if __name__ == "__main__":
    main()
