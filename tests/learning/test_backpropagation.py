"""BP: on ideal chips its update is the gradient that autograd finds, through R and through clipping converters."""

from __future__ import annotations

import pytest
import torch

from analogsim.learning import RULES, Controller, Decorrelation
from analogsim.network import Identity, LeakyReLU
from analogsim.port import Pass, Periphery


def step(bench, backward, decorrelation=None, periphery=None):
    """A BP step of rate 1; the directions that were subtracted, and the deltas dL/da of each layer."""
    rule = RULES["bp"](backward=backward)
    seen = []

    class Watched:
        def __getattr__(self, name):
            return getattr(rule, name)

        def update(self, baseline, estimate, deltas, copy, state):
            if periphery is not None:
                copy = copy._replace(periphery=periphery)
            seen.append(rule.update(baseline, estimate, deltas, copy, state)[0])
            return seen[-1], state

    controller = Controller(bench.rig, Watched(), bench.weights, torch.optim.SGD, 1.0, decorrelation)
    if periphery is not None:
        bench.rig.set_periphery(periphery)
    controller.step()
    return [update.direction() for update in seen[0]], [update.post for update in seen[0]]


def matrices(bench, seed=3):
    """R of every layer, far from symmetric: a missing or transposed R^T is seen."""
    generator = torch.Generator().manual_seed(seed)
    layers, chips = bench.rig.network.layers, bench.rig.chips
    eye = [torch.eye(layer.inputs, dtype=torch.float64) for layer in layers]
    return tuple(r + 0.5 * torch.randn(chips, *r.shape, generator=generator, dtype=torch.float64) for r in eye)


@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
@pytest.mark.parametrize("activation", [Identity(), LeakyReLU(), LeakyReLU(0.3)], ids=str)
@pytest.mark.parametrize("backward", ["transposed", "copy"])
def test_ideal_chip_gives_the_gradient(lab, backward, activation, loss):
    bench = lab.bench([5, 6, 4, 3], activation=activation, chips=2, batch=7, loss=loss)
    true_deltas, true = bench.gradients()
    found, deltas = step(bench, backward)
    for a, b in zip([*found, *deltas], [*true, *true_deltas], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("backward", ["transposed", "copy"])
def test_deltas_pass_through_r(lab, backward):
    """x* = R x in every layer: BP equals autograd of the loss through it."""
    bench = lab.bench([5, 6, 4, 3], chips=2, batch=7, loss="cross_entropy")
    r = matrices(bench)
    true_deltas, true = bench.gradients(r)
    found, deltas = step(bench, backward, periphery=Periphery(r))
    for a, b in zip([*found, *deltas], [*true, *true_deltas], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
    _, without = bench.gradients()
    assert not torch.allclose(found[0], without[0], rtol=0.1)


def test_deltas_pass_through_the_r_that_was_learned(lab):
    """The same in the course of a run, with the controller's own R."""
    bench = lab.bench([5, 6, 4, 3], chips=2, batch=7, loss="cross_entropy")
    rates = torch.optim.SGD, 0.1, Decorrelation(rate=0.05)
    controller = Controller(bench.rig, RULES["bp"](), bench.weights, *rates)
    for _ in range(5):
        controller.step()
    copy = controller.copy
    assert not torch.allclose(copy.periphery.decorrelation[1], torch.eye(6, dtype=torch.float64), atol=0.01)
    _, true = bench.gradients(copy.periphery.decorrelation)
    before = [w.clone() for w in copy.weights]
    controller.step()
    for now, old, g in zip(controller.copy.weights, before, true, strict=True):
        torch.testing.assert_close(old - now, 0.1 * g, rtol=1e-8, atol=1e-11)


def test_transposed_and_copy_agree_on_ideal_chips(lab):
    """Ten steps with decorrelation and Adam."""
    ends = []
    for backward in ("transposed", "copy"):
        bench = lab.bench([5, 6, 4, 3], chips=2, batch=7, loss="cross_entropy")
        rule = RULES["bp"](backward=backward)
        controller = Controller(bench.rig, rule, bench.weights, torch.optim.Adam, 0.01, Decorrelation(rate=0.01))
        for _ in range(10):
            controller.step()
        ends.append(controller.copy.weights)
    for a, b in zip(*ends, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


def test_transposed_reads_are_noisy_and_copies_are_not(lab):
    """The same forward pass: deltas below the output differ by the noise of the transposed read alone."""
    found = {}
    for backward in ("transposed", "copy"):
        bench = lab.bench([5, 6, 3], lab.profile(read=3), chips=2, batch=4)
        found[backward] = step(bench, backward)[1]
    assert torch.equal(found["transposed"][1], found["copy"][1])
    assert not torch.allclose(found["transposed"][0], found["copy"][0], rtol=1e-3)


@pytest.mark.parametrize("backward", ["transposed", "copy"])
@pytest.mark.parametrize("decorrelated", [False, True])
def test_converters_pass_derivatives_where_they_do_not_clip(lab, backward, decorrelated):
    """16 bits: BP equals autograd of the loss through clamps at the converters' ranges, up to the resolution.

    Large biases make the ADCs clip forwards; transposed reads do not see the bias row, and must not clip here.
    """
    dac, adc = 0.5, 3.0
    bench = lab.bench([5, 6, 4, 3], lab.profile(bits=16, dac=dac, adc=adc), chips=4, batch=30)
    for w in bench.weights:
        w[:, :, -1] *= 15
    bench.chip.program(bench.weights)
    r = matrices(bench) if decorrelated else None
    weights = [w.clone().requires_grad_() for w in bench.chip.oracle.weights]
    shifts = [w.new_zeros(4, 30, w.shape[1]).requires_grad_() for w in weights]
    x, clipped = bench.task.inputs, []
    for index, (layer, w, shift) in enumerate(zip(bench.rig.network.layers, weights, shifts, strict=True)):
        x = x if r is None else x @ r[index].transpose(1, 2)
        a = layer.drive(x).clamp(-dac, dac) @ w.transpose(1, 2) + shift
        clipped += [(x.abs() > dac).double().mean(), (a.abs() > adc).double().mean()]
        x = layer.activation(a.clamp(-adc, adc))
    assert min(clipped) > 0.01, "every converter clips something"
    assert max(clipped) < 0.98, "and lets something through"
    true = torch.autograd.grad(bench.task.loss(x, bench.task.targets).sum(), [*shifts, *weights])
    assert all(g.any() for g in true)
    found, deltas = step(bench, backward, periphery=None if r is None else Periphery(r))
    for a, b in zip(deltas, true[: len(shifts)], strict=True):
        torch.testing.assert_close(a, b, rtol=2e-3, atol=5e-3)
    for a, b in zip(found, true[len(shifts) :], strict=True):
        torch.testing.assert_close(a, b / 30, rtol=2e-3, atol=5e-3)


def test_bp_uses_one_pass_and_counts_no_silence(lab):
    bench = lab.bench([5, 6, 3], chips=2, batch=4)
    controller = Controller(bench.rig, RULES["bp"](), bench.weights, torch.optim.SGD, 0.1)
    controller.step()
    assert controller.passes_per_step == bench.rig.passes == 1
    assert controller.counters.vectors.tolist() == [4, 4]
    assert controller.counters.silent.tolist() == [0, 0]


def test_output_error_is_the_losses_gradient_at_the_output(lab):
    for loss in ("squared", "cross_entropy"):
        bench = lab.bench([5, 6, 3], chips=2, batch=4, loss=loss)
        true, _ = bench.gradients()
        bench.rig.next_batch()
        (seen,) = bench.rig.run((Pass(record=frozenset({"output_error"})),))
        torch.testing.assert_close(seen.output_error[:, 0], true[-1])
