"""Draws baselines.svg and .png: how close node perturbation comes to the gradient, by what it compares a pass with.

Lines are medians over the chips, bands hold their middle half. Run `python docs/figures/make_baselines.py`: the same
numbers every time, on one thread of a CPU.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

from analogsim.chip import Chip
from analogsim.learning import RULES, Copy
from analogsim.network import Network
from analogsim.port import Access, Periphery
from analogsim.randomness import Purpose
from analogsim.study.rig import Rig
from analogsim.tasks import DATA_SETS, LOSSES, Task
from device_models import load_profile

SIZES, CHIPS, BATCH, SEED = [64, 32, 16, 10], 32, 50, 1
SAMPLES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000]
MODES = {
    "pairs": ("pairs: 2K passes", "#56b4e9", "-", 3.2),
    "shared": ("shared: K + 1 passes", "#d55e00", "-", 1.6),
    "centred": ("centred: K + 1 passes", "#00436b", "-", 1.4),
    "clean": ("clean: K + 1 passes, an oracle", "0.25", (0, (2, 2)), 1.2),
}
RULES_DRAWN = {"anp": ("ANP on the chip's own noise", {}), "np": ("NP with injected noise", {"sigma": 0.1})}
CHUNK = 128


def measure(name: str, baseline: str, settings: dict) -> np.ndarray:
    """Cosines between a rule's update and the gradient, (numbers of samples, layers, chips).

    A larger number of samples goes on from the smaller one, on one batch.
    """
    network = Network.mlp(SIZES)
    chip = Chip(network, load_profile("noisy"), CHIPS, SEED)
    weights = network.initial_weights("he_normal", chip.streams.generators(Purpose.INITIAL_WEIGHTS))
    chip.program(weights)
    data = DATA_SETS["digits"]().standardised()
    task = Task(data, LOSSES["cross_entropy"], BATCH, [SEED] * CHIPS, range(CHIPS), chip.device, chip.dtype)
    rig = Rig(chip, task, Access.CLEAN_PASS)
    batches = []
    serve = task.next_batch
    task.next_batch = lambda: batches.append(serve()) or batches[-1]
    rig.next_batch()
    true = gradient(network, chip.oracle.weights, *batches[0], task.loss)

    rule = RULES[name](baseline=baseline, **settings)
    plan = rule.plan(network)
    reference = None if plan.baseline is None else rig.run((plan.baseline,))[0].clone()
    copy = Copy(network, tuple(weights), Periphery((None,) * network.depth), rig.limits)
    estimate, done, cosines = None, 0, []
    for samples in SAMPLES:
        wanted = samples + (baseline == "centred")
        while done < wanted:
            count = min(CHUNK, wanted - done)
            part = rule.estimate(reference, rig.run(plan.probes, count), network)
            estimate = part if estimate is None else estimate.merge(part)
            done += count
        state = rule.init(network, CHIPS, chip.device)
        updates, _ = rule.update(reference, estimate, None, copy, state)
        cosines.append([cosine(update.direction(), g).numpy() for update, g in zip(updates, true, strict=True)])
    return np.array(cosines)


def gradient(network: Network, weights: tuple[Tensor, ...], x: Tensor, targets: Tensor, loss) -> tuple[Tensor, ...]:
    """dL/dW of every chip without noise and converters, per layer (C, units, rows)."""
    leaves = [w.clone().requires_grad_() for w in weights]
    for layer, w in zip(network.layers, leaves, strict=True):
        x = layer.activation(layer.drive(x) @ w.transpose(1, 2))
    return torch.autograd.grad(loss(x, targets).sum(), leaves)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return torch.nn.functional.cosine_similarity(a.flatten(1), b.flatten(1), dim=1)


def draw(measured: dict[str, dict[str, np.ndarray]], path: Path) -> None:
    plt.rcParams |= {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.hashsalt": "analogsim",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
    }
    layers = len(SIZES) - 1
    figure, axes = plt.subplots(
        len(measured), layers, figsize=(8.2, 5.2), sharex=True, sharey=True, layout="constrained"
    )
    for row, (name, by_mode) in zip(axes, measured.items(), strict=True):
        for layer, ax in enumerate(row):
            for mode, (label, colour, style, width) in MODES.items():
                values = by_mode[mode][:, layer]
                low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], axis=1)
                ax.fill_between(SAMPLES, low, high, color=colour, alpha=0.14, linewidth=0)
                ax.plot(SAMPLES, middle, linestyle=style, color=colour, label=label, linewidth=width)
            ax.set(xscale="log", ylim=(0, 1), xlim=(1, SAMPLES[-1]))
            ax.xaxis.set_major_formatter("{x:g}")
            ax.grid(alpha=0.25, linewidth=0.6)
            ax.set_axisbelow(True)
        row[0].set_ylabel(f"{RULES_DRAWN[name][0]}\ncosine to the gradient")
    for layer, ax in enumerate(axes[0]):
        ax.set_title(f"layer {layer + 1}: {SIZES[layer]} to {SIZES[layer + 1]}", fontsize=9)
    for ax in axes[-1]:
        ax.set_xlabel("probes K in a step")
    figure.get_layout_engine().set(wspace=0.06)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=8.5)
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None, "Creator": None})
    figure.savefig(path.with_suffix(".png"), dpi=160, metadata={"Software": None})
    plt.close(figure)


def table(values: np.ndarray) -> str:
    """Mean cosines of all layers at some numbers of samples."""
    columns = []
    for k in (1, 8, 64, 256, 1000):
        layers = "/".join(f"{cosine:.2f}" for cosine in values[SAMPLES.index(k)].mean(1))
        columns.append(f"K={k}: {layers}")
    return "  ".join(columns)


def main() -> None:
    torch.set_num_threads(1)
    measured = {
        name: {mode: measure(name, mode, settings) for mode in MODES} for name, (_, settings) in RULES_DRAWN.items()
    }
    for name, by_mode in measured.items():
        for mode, values in by_mode.items():
            print(f"{name:4} {mode:8} {table(values)}")  # noqa: T201
    draw(measured, Path(__file__).with_name("baselines"))


if __name__ == "__main__":
    main()
