"""Rules on networks with convolutions, pooling and dropout: they see flat signals and know of none of them."""

from __future__ import annotations

import pytest
import torch

from analogsim.learning import RULES, Controller, Decorrelation
from analogsim.learning.backpropagation import Backpropagation
from analogsim.learning.perturbation import ActivityNodePerturbation, NodePerturbation
from analogsim.learning.rule import Activities, Copy
from analogsim.network import Binary, HardThreshold, Identity, LeakyReLU, Network, Stack, Tanh
from analogsim.port import AccessError, Injection, Pass, Periphery
from device_models import DeviceProfile

IMAGE = (2, 6, 5)


def network_of(activation=None, dropout=0.4, readout=True):
    f = activation or LeakyReLU(0.1)
    stack = Stack(IMAGE)
    stack.conv(3, 3, 2, 1, f)
    if dropout:
        stack.dropout(dropout)
    stack.conv(4, 2, 1, 0, f)
    stack.avg_pool(2, 1)
    stack.dense(3)
    if readout:
        stack.softmax()
    return Network(tuple(stack.layers))


def bench(lab, network, profile=None, **settings):
    return lab.bench([network.inputs, network.outputs], profile, network=network, **settings)


def seen_by(made, *passes, samples=1):
    made.rig.next_batch()
    return made.rig.run(passes, samples)


@pytest.mark.parametrize("decorrelated", [False, True])
@pytest.mark.parametrize("backward", ["transposed", "copy"])
def test_backpropagation_is_autograd(lab, backward, decorrelated):
    """Without noise, through dropout, pooling, softmax and R on patches."""
    made = bench(lab, network_of(Tanh()), chips=2)
    network, generator = made.rig.network, torch.Generator().manual_seed(2)
    r = (None,) * network.depth
    if decorrelated:
        size = [layer.fan_in for layer in network.layers]
        r = tuple(torch.eye(n, dtype=torch.float64) + 0.2 * torch.randn(2, n, n, generator=generator) for n in size)
    made.rig.set_periphery(Periphery(r))
    rule = Backpropagation(backward=backward)
    (baseline,) = seen_by(made, *[rule.plan(network).baseline])
    masks = baseline.masks
    assert [mask is None for mask in masks] == [False, True, True]
    assert 0 < int((masks[0] == 0).sum()) < masks[0].numel()
    copy = Copy(network, tuple(made.weights), Periphery(r), made.rig.limits)
    vector = rule.output_vector(baseline, None, copy, None)
    deltas = None if vector is None else made.rig.backward(vector, *Activities.of(baseline))
    updates, _ = rule.update(baseline, None, deltas, copy, rule.init(copy, []))
    _, expected = made.gradients(r if decorrelated else None, masks)
    for update, gradient in zip(updates, expected, strict=True):
        torch.testing.assert_close(update.direction(), gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["np", "inp", "reinforce"])
def test_perturbation_of_units_is_unbiased(lab, name):
    """Linear network, squared loss: the mean over 1,000 chips of equal weights is the gradient; Bonferroni."""
    network = network_of(Identity(), dropout=0, readout=False)
    made = bench(lab, network, chips=1000, batch=2, alike=True)
    rule = RULES[name](sigma=0.3, baseline="clean", samples=4 if name == "inp" else 8)
    updates, _ = made.update(rule, *made.observe(rule))
    _, gradients = made.gradients()
    t, bound = lab.largest_t([u.direction() - g for u, g in zip(updates, gradients, strict=True)])
    assert t < bound
    t, bound = lab.largest_t([u.direction() - 1.2 * g for u, g in zip(updates, gradients, strict=True)])
    assert t > bound, "a fifth too much must be seen"


def test_weight_perturbation_of_kernels(lab):
    """One kernel for all positions: linear network, sigma = 1e-5, the mean over 1,000 chips is the gradient."""
    network = network_of(Identity(), dropout=0, readout=False)
    path = DeviceProfile.from_data(
        {"name": "path", "conductance": {"max": "25 uS"}, "weight_perturbation": {"path": True}}
    )
    made = bench(lab, network, path, chips=1000, batch=2, alike=True)
    updates, _ = made.update(rule := RULES["spsa"](sigma=1e-5, samples=4), *made.observe(rule))
    _, gradients = made.gradients()
    t, bound = lab.largest_t([u.direction() - g for u, g in zip(updates, gradients, strict=True)])
    assert t < bound
    t, bound = lab.largest_t([u.direction() - 1.5 * g for u, g in zip(updates, gradients, strict=True)])
    assert t > bound


def test_activity_perturbation_counts_channels_times_positions(lab):
    network = network_of(dropout=0)
    assert network.units == 3 * 9 + 4 * 4 + 3
    made = bench(lab, network, lab.profile(read=1), chips=2)
    rule = ActivityNodePerturbation()
    plan = rule.plan(network)
    baseline, probe = seen_by(made, plan.baseline, *plan.probes)
    change = torch.cat([b - a for a, b in zip(baseline.pre_activations, probe.pre_activations, strict=True)], dim=3)
    assert change.shape[3] == network.units
    share = network.units * (probe.loss - baseline.loss) / change.square().sum(3)
    found = torch.cat(rule.estimate(baseline, (probe,), network).directions, dim=2)
    torch.testing.assert_close(found, (share[..., None] * change)[:, 0], rtol=1e-9, atol=1e-12)


STEPS = {
    "bp": (Backpropagation(), None),
    "np": (NodePerturbation(samples=2, sigma=0.2), None),
    "danp": (ActivityNodePerturbation(samples=2), Decorrelation(rate=1e-2)),
    "inp": (RULES["inp"](samples=2), None),
    "wp": (RULES["wp"](samples=2), None),
    "spsa": (RULES["spsa"](), None),
    "reinforce": (RULES["reinforce"](samples=2, backward="transposed"), None),
}


def train(made, name, steps=3, chunk=None):
    rule, decorrelation = STEPS[name]
    controller = Controller(made.rig, rule, made.weights, torch.optim.Adam, 0.01, decorrelation, chunk)
    for _ in range(steps):
        controller.step()
    return controller


@pytest.mark.parametrize("name", STEPS)
def test_steps_move_all_layers_and_chips_stay_apart(lab, name):
    """Chip 1 of three, and alone: data, masks, noise and R are its own."""
    profile, network = lab.profile(read=1), network_of()
    together = train(bench(lab, network, profile, chips=3), name)
    made = bench(lab, network, profile, chips=[1])
    alone = train(made, name)
    for a, b, start in zip(together.copy.weights, alone.copy.weights, made.weights, strict=True):
        torch.testing.assert_close(a[1:2], b, rtol=1e-9, atol=1e-12)
        assert not torch.equal(b, start) and bool(b.isfinite().all())
    for a, b in zip(together.copy.periphery.decorrelation, alone.copy.periphery.decorrelation, strict=True):
        assert (a is None) == (b is None) == (name != "danp")
        if a is not None:
            torch.testing.assert_close(a[1:2], b, rtol=1e-9, atol=1e-12)


def test_decorrelation_of_a_convolution_takes_its_patches(lab):
    """R has the size of a patch, and a step moves it by the mean over all decorrelated patches."""
    made = bench(lab, network_of(), lab.profile(read=1), chips=2)
    (baseline, *_) = seen_by(made, Pass(), Pass())
    controller = train(made, "danp", steps=0)
    sizes = [r.shape[1:] for r in controller.copy.periphery.decorrelation]
    assert sizes == [(18, 18), (12, 12), (4, 4)]
    layer = made.rig.network.layers[0]
    patches = layer.window.cut(baseline.inputs[0][:, 0]).flatten(1, 2)
    r = torch.eye(18, dtype=torch.float64)
    for _ in range(2):  # the second step starts from an R that is no identity
        decorrelated = patches @ r.mT
        covariance = decorrelated.mT @ decorrelated / patches.shape[1]
        r = r - 1e-2 * (covariance - torch.diag_embed(covariance.diagonal(dim1=1, dim2=2))) @ r
        controller.step()
        found = controller.copy.periphery.decorrelation[0]
        torch.testing.assert_close(found, r, rtol=1e-9, atol=1e-12)


def test_masks_are_the_same_in_all_passes_of_a_step(lab):
    made = bench(lab, network_of(Tanh()), lab.profile(read=1), chips=2)
    found = []
    for _ in range(2):
        made.rig.next_batch()
        calls = [made.rig.run((Pass(), Pass(inject=Injection(0.2))), samples) for samples in (3, 1)]
        dropped = torch.cat([seen.inputs[1] == 0 for seen in (*calls[0], *calls[1])], dim=1)  # (C, passes, B, n)
        assert bool((dropped == dropped[:, :1]).all())
        assert torch.equal(dropped[:, 0], calls[1][0].masks[0] == 0)
        found.append(dropped[:, 0])
    assert not torch.equal(*found), "the next batch has masks of its own"
    assert not torch.equal(found[0][0], found[0][1]), "and so has each chip"


@pytest.mark.parametrize("step", [HardThreshold(), Binary()], ids=str)
def test_rules_that_send_derivatives_are_refused_where_there_are_none(lab, step):
    made = bench(lab, network_of(step), lab.profile(read=1))
    message = rf"rule 'bp' needs the derivatives .* {step.name} of layer 0 has none .* would work: .*np"
    with pytest.raises(AccessError, match=message):
        Controller(made.rig, RULES["bp"](), made.weights, torch.optim.SGD, 0.01)
    controller = train(made, "danp")
    assert not controller.diverged.any()
