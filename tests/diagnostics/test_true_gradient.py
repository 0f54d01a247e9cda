"""The true gradient: at what the devices hold, through all that lies between them, and without a trace."""

from __future__ import annotations

import pytest
import torch

from analogsim.diagnostics import true_gradient
from analogsim.learning import RULES, Controller, Decorrelation
from analogsim.learning.rule import Activities, backpropagate
from analogsim.network import Binary, Conv2d, Dense, Dropout, Identity, LeakyReLU, MaxPool2d, Network, Window
from analogsim.port import Access, Pass, Periphery
from analogsim.tasks import LOSSES

SIZES = [5, 7, 6, 3]
CONVERTERS = {"dac": {"bits": 6, "range": 1.1}, "adc": {"bits": 7, "range": 1.2}}


def masked_network():
    hidden = [Dense(5, 7, LeakyReLU(0.1), after=(Dropout(0.4),)), Dense(7, 6, LeakyReLU(0.1), after=(Dropout(0.4),))]
    return Network((*hidden, Dense(6, 3, Identity())))


def convolutional_network():
    """5x4 maps of two channels to 3 of 5x4, pooled to 2x2; to two of 2x1; dense."""
    pool = MaxPool2d(Window(3, 5, 4, (2, 2), (2, 2), (0, 0)))
    first = Conv2d(2, 5, 4, 3, 3, LeakyReLU(0.1), padding=1, after=(pool, Dropout(0.4)))
    second = Conv2d(3, 2, 2, 2, (1, 2), LeakyReLU(0.1))
    return Network((first, second, Dense(4, 3, Identity())))


NETWORKS = {"dense": masked_network, "convolutional": convolutional_network}
networks = pytest.mark.parametrize("network", NETWORKS)


def pre_activations(layer, w, x, r):
    """a = W [R v, 1] of a layer's input (C, B, inputs), with patches by torch."""
    if not isinstance(layer, Conv2d):
        return layer.drive(x @ r.transpose(1, 2)) @ w.transpose(1, 2)
    seen = layer.window
    image = x.reshape(-1, seen.channels, seen.height, seen.width)
    patches = torch.nn.functional.unfold(image, seen.kernel, padding=seen.padding, stride=seen.stride)
    v = patches.reshape(*x.shape[:2], layer.fan_in, -1)
    return (w[:, None, :, :-1] @ (r[:, None] @ v) + w[:, None, :, -1:]).flatten(2)


def random_r(network, chips, seed=3):
    source = torch.Generator().manual_seed(seed)
    shapes = [(chips, layer.fan_in, layer.fan_in) for layer in network.layers]
    eyes = [torch.eye(n, dtype=torch.float64) for _, n, _ in shapes]
    found = (e + 0.2 * torch.randn(s, generator=source).double() for e, s in zip(eyes, shapes, strict=True))
    return Periphery(tuple(found))


def digital_loss(rig, weights, periphery, shifts=None):
    """Mean over the batch of the loss that these weights give digitally, (C,)."""
    x, targets = rig._batch
    for index, (layer, w) in enumerate(zip(rig.network.layers, weights, strict=True)):
        a = pre_activations(layer, w, x, periphery.decorrelation[index])
        x = layer.finish(a if shifts is None else a + shifts[index], rig._masks[index])
    return rig.task.loss(x, targets).mean(1)


@networks
@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
def test_it_is_the_slope_of_the_loss(make, network, loss):
    """Central differences of a digital forward pass with R, masks and biases, along random directions."""
    bench = make(NETWORKS[network](), loss=loss)
    rig = bench.rig
    rig.set_periphery(random_r(rig.network, 2))
    found, held = rig.gradient(), rig.chip.oracle.weights
    torch.testing.assert_close(found.loss.mean(1), digital_loss(rig, held, rig._periphery), rtol=1e-10, atol=0)
    source, h = torch.Generator().manual_seed(0), 1e-5
    for index, (w, g) in enumerate(zip(held, found.weights, strict=True)):
        for _ in range(5):
            d = torch.randn(w.shape, generator=source).double()
            up, down = ([*held[:index], w + s * h * d, *held[index + 1 :]] for s in (1, -1))
            slope = (digital_loss(rig, up, rig._periphery) - digital_loss(rig, down, rig._periphery)) / (2 * h)
            torch.testing.assert_close((d * g).sum((1, 2)), slope, rtol=1e-6, atol=1e-9)
    for index, g in enumerate(found.pre_activations):
        d = torch.randn(g.shape, generator=source).double()
        up, down = ([torch.zeros_like(x) for x in found.pre_activations] for _ in range(2))
        up[index], down[index] = h * d, -h * d
        slope = (digital_loss(rig, held, rig._periphery, up) - digital_loss(rig, held, rig._periphery, down)) / (2 * h)
        torch.testing.assert_close((d * g).sum((1, 2)) / g.shape[1], slope, rtol=1e-6, atol=1e-9)


@networks
@pytest.mark.parametrize("decorrelated", [False, True])
def test_it_is_what_backpropagation_finds_at_the_same_weights(make, network, decorrelated):
    """Through converters that clip: the adjoint that rules use, written by hand, agrees with automatic derivatives.

    But for a convolution's R: rules form dL/dW with patches as R gives them, the true one with what drove the rows.
    """
    bench = make(NETWORKS[network](), CONVERTERS, batch=20)
    rig = bench.rig
    periphery = random_r(rig.network, 2) if decorrelated else Periphery((None,) * 3)
    rig.set_periphery(periphery)
    record = frozenset({"inputs", "pre_activations", "output_error"})
    (seen,) = rig.run((Pass(clean=True, record=record),))
    limits = rig.limits
    for x, a, level, result in zip(seen.inputs, seen.pre_activations, limits.inputs, limits.outputs, strict=True):
        assert (x.abs() >= level * (1 - 1e-9)).any(), "a DAC clips"
        assert (a.abs() >= result * (1 - 1e-9)).any(), "an ADC clips"
    activities, copy = Activities.of(seen), bench.copy(rig.chip.oracle.weights, periphery)
    expected = backpropagate(copy, copy.weights, seen.output_error[:, 0], activities)
    found = rig.gradient()
    for layer, g, dw, post, x in zip(
        rig.network.layers, found.pre_activations, found.weights, expected, activities.inputs, strict=True
    ):
        torch.testing.assert_close(g, post, rtol=1e-9, atol=1e-12)
        if layer.observes_vectors or not decorrelated:
            torch.testing.assert_close(dw, layer.outer(post, x, None), rtol=1e-9, atol=1e-12)


OLD = {
    "programming": {"kind": "constant", "sigma": "1 uS"},
    "drift": {"kind": "constant", "mean": 0.1, "t0": "1 s"},
    "faults": {"stuck_low": "10 %"},
    "read_noise": {"kind": "additive", "sigma": "2 %"},
}


def test_it_is_taken_at_what_the_devices_hold_now(make):
    """Drifted, faulty and misprogrammed; not at what they were asked to hold, and not with the noise of a read."""
    bench = make(SIZES, OLD)
    chip, (x, targets), loss = bench.rig.chip, bench.rig._batch, LOSSES["cross_entropy"]
    young = true_gradient(chip, x, targets, loss, now=1.0)
    old = true_gradient(chip, x, targets, loss, now=1e6)
    ideal = make(SIZES).rig.chip
    ideal.program([w.clamp(-9, 9) for w in chip.oracle.weights])
    same = true_gradient(ideal, x, targets, loss)
    for a, b, c in zip(young.weights, old.weights, same.weights, strict=True):
        torch.testing.assert_close(b, c, rtol=1e-9, atol=1e-12)
        assert not torch.allclose(a, b, rtol=0.05)


def test_compensation_of_drift_is_part_of_it(make):
    """With equal exponents everywhere the factor restores the outputs; the gradient is by the weights before it."""
    drift = {"drift": {"kind": "constant", "mean": 0.1, "t0": "1 s"}}
    bench = make(SIZES, drift)
    chip, (x, targets), loss = bench.rig.chip, bench.rig._batch, LOSSES["squared"]
    young = true_gradient(chip, x, targets, loss, now=1.0)
    chip.take_reference(1.0)
    factors = chip.compensate(1e4)
    assert (factors > 2).all()
    old = true_gradient(chip, x, targets, loss, now=1e4)
    torch.testing.assert_close(old.loss, young.loss, rtol=1e-9, atol=0)
    for index, (a, b) in enumerate(zip(young.weights, old.weights, strict=True)):
        torch.testing.assert_close(b, a * factors[:, index, None, None], rtol=1e-9, atol=1e-12)


def test_an_r_on_crossbars_is_taken_as_its_devices_hold_it(make):
    """Not as the controller asked for it, which digital backpropagation takes it for."""
    bench = make(SIZES, {"programming": {"kind": "constant", "sigma": "0.5 uS"}}, batch=20)
    rig, asked = bench.rig, random_r(bench.rig.network, 2)
    rig.set_periphery(asked._replace(crossbar=True))
    held = Periphery(rig.chip.oracle.decorrelation)
    record = frozenset({"inputs", "pre_activations", "output_error"})
    (seen,) = rig.run((Pass(clean=True, record=record),))
    found = rig.gradient()
    for periphery, right in ((held, True), (asked, False)):
        copy = bench.copy(rig.chip.oracle.weights, periphery)
        posts = backpropagate(copy, copy.weights, seen.output_error[:, 0], Activities.of(seen))
        assert all(
            torch.allclose(g, post, rtol=1e-9, atol=1e-12) is right
            for g, post in zip(found.pre_activations[:-1], posts[:-1], strict=True)
        )


def test_nothing_is_drawn_and_nothing_moves(make):
    """A noisy chip gives the same loss afterwards as one that was never looked at, and the gradient repeats."""
    looked, alone = (make(SIZES, {**OLD, **CONVERTERS}).rig for _ in range(2))
    first, again = looked.gradient(), looked.gradient()
    assert all(torch.equal(a, b) for a, b in zip(first.weights, again.weights, strict=True))
    assert looked.chip.streams.state_dict().keys() == alone.chip.streams.state_dict().keys()
    for one, other in zip(*(rig.run((Pass(), Pass()), 2) for rig in (looked, alone)), strict=True):
        assert torch.equal(one.loss, other.loss)


def test_looking_ahead_of_a_read_lets_noise_wander_as_that_read_would(make):
    """Slow noise moves when time passes; whether a look or a read finds it first changes no number."""
    flicker = {"read_noise": {"kind": "flicker", "q": 0.05, "t_r": "250 ns", "t0": "20 s"}}
    rigs = [make(SIZES, flicker).rig for _ in range(2)]
    for rig in rigs:
        rig.run((Pass(),))
        rig.clock.advance(100.0)
    rigs[0].gradient()
    one, other = (rig.run((Pass(),))[0].loss for rig in rigs)
    assert torch.equal(one, other)


def test_a_repeated_batch_has_forgotten_its_noise(make):
    """Two-level noise that hardly ever flips: the same in the next pass, as likely another in a repeated batch."""
    telegraph = {"unit_noise": {"kind": "telegraph", "amplitude": 0.1, "flip": "0.1 %"}}
    rig = make([5, 200, 3], telegraph, batch=50).rig

    def signs():
        clean, noisy = rig.run((Pass(clean=True), Pass()))
        return noisy.pre_activations[0] > clean.pre_activations[0]

    first, second = signs(), signs()
    rig.repeat_batch()
    third = signs()
    assert (first == second).double().mean() > 0.99
    agreement, n = float((second == third).double().mean()), first.numel()
    assert abs(agreement - 0.5) < 5 * 0.5 / n**0.5


def test_nothing_passes_through_a_step(make):
    network = Network((Dense(5, 7, Binary()), Dense(7, 3, Identity())))
    found = make(network).rig.gradient()
    assert not found.weights[0].any()
    assert not found.pre_activations[0].any()
    assert found.weights[1].any()


def test_outputs_are_those_of_the_clean_pass(make):
    bench = make(SIZES, CONVERTERS)
    (seen,) = bench.rig.run((Pass(clean=True),))
    for layer, a, x in zip(bench.rig.network.layers, seen.pre_activations, bench.rig.gradient().outputs, strict=True):
        torch.testing.assert_close(x, layer.finish(a[:, 0]))


def test_a_rule_cannot_ask_for_it():
    assert all(not hasattr(rule, "gradient") for rule in RULES.values())
    assert "true_gradient" not in {name for flag in Access for name in flag.names}


def test_a_controller_follows_the_gradient_on_other_hardware(make):
    """There under its R; its own chips, batch and state are not touched."""
    home, away = (make(SIZES, seed=seed) for seed in (0, 1))
    rule = RULES["bp"](backward="transposed")
    controller = Controller(home.rig, rule, home.weights, torch.optim.SGD, 0.05, decorrelation=Decorrelation(rate=0.05))
    for _ in range(3):
        controller.step()
    steps, passes = controller.steps, home.rig.passes
    away.rig.set_periphery(controller.copy.periphery)
    found = controller.directions_on(away.rig)
    assert (controller.steps, home.rig.passes) == (steps, passes)
    for direction, g in zip(found, away.rig.gradient().weights, strict=True):
        torch.testing.assert_close(direction, g, rtol=1e-9, atol=1e-12)
    away.rig.set_periphery(Periphery((None,) * 3))
    assert not torch.allclose(found[0], away.rig.gradient().weights[0], rtol=1e-3)
