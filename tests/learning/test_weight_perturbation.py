"""Weight perturbation and SPSA: the formula, the mean, and what is exact."""

from __future__ import annotations

import pytest
import torch

from analogsim.chip import Chip, Mapping
from analogsim.learning import RULES, Controller, Decorrelation
from analogsim.network import Identity, LeakyReLU, Network
from analogsim.port import Access, Injection, Pass
from analogsim.study.rig import Rig
from analogsim.tasks import LOSSES
from device_models import DeviceProfile

BASELINES = ["clean", "shared", "pairs", "centred"]
WIDE = Mapping(headroom=8.0)


def profile(path=True, **parts):
    data = {"name": "bench", "conductance": {"max": "25 uS"}, "weight_perturbation": {"path": path}, **parts}
    return DeviceProfile.from_data(data)


def dense(bench, rule):
    updates, counters = bench.update(rule, *bench.observe(rule))
    return [update.dense for update in updates], counters


@pytest.mark.parametrize("path", [True, False], ids=["path", "writes"])
@pytest.mark.parametrize("baseline", BASELINES)
def test_the_mean_is_the_weight_gradient(lab, baseline, path):
    """One layer, squared loss: L is quadratic in the weights, so WP is unbiased at every sigma. n = 1000 chips.

    Column noise of the chips, and errors of the writes where perturbations are written: both only add variance. The
    errors of the first program are part of the weights at which the gradient is taken, so there are none of these.
    """
    bench = lab.bench(
        [3, 4], profile(path, column_noise={"sigma": "0.5 %"}), chips=1000, alike=True, mapping=WIDE, batch=2
    )
    _, true = bench.gradients()
    found, counters = dense(bench, RULES["wp"](sigma=0.05, baseline=baseline, samples=8))
    largest, bound = lab.largest_t([found[0] - true[0]])
    assert largest < bound
    largest, bound = lab.largest_t([found[0] - 0.75 * true[0]])
    assert largest > bound, "n is too small to see a bias of a quarter"
    assert counters.vectors.unique().tolist() == [2]
    assert counters.silent.unique().tolist() == [0]


@pytest.mark.parametrize("name", ["wp", "spsa"])
def test_the_mean_through_two_layers(lab, name):
    """To first order in sigma: sigma = 1e-5, so that what is left is far below the sampling error. n = 1000 chips."""
    bench = lab.bench([3, 4, 2], profile(), chips=1000, alike=True, activation=LeakyReLU(0.3), loss="cross_entropy")
    _, true = bench.gradients()
    found, _ = dense(bench, RULES[name](sigma=1e-5, samples=12, **({} if name == "spsa" else {"baseline": "shared"})))
    largest, bound = lab.largest_t([g - t for g, t in zip(found, true, strict=True)])
    assert largest < bound
    largest, bound = lab.largest_t([g - 0.75 * t for g, t in zip(found, true, strict=True)])
    assert largest > bound


def test_the_formula(lab):
    """The mean loss of the batch times what was added, over sigma^2; the same draw for the whole batch."""
    bench = lab.bench([3, 4, 2], lab.profile(read=1), chips=2, batch=5)
    rule = RULES["wp"](sigma=0.03, samples=3, baseline="shared")
    plan = rule.plan(bench.rig.network)
    bench.rig.next_batch()
    baseline = bench.rig.run((plan.baseline,))[0].clone()
    (probe,) = bench.rig.run(plan.probes, plan.samples)
    updates, _ = bench.update(rule, baseline, rule.estimate(baseline, [probe], bench.rig.network))
    change = probe.loss.mean(2) - baseline.loss.mean(2)
    for update, eps, w in zip(updates, probe.injected_weights, bench.weights, strict=True):
        assert eps.shape == (2, 3, *w.shape[1:])
        expected = (change[..., None, None] * eps).mean(1) / 0.03**2
        torch.testing.assert_close(update.dense, expected)
    assert baseline.injected_weights is None
    assert all((eps == 0).all() for eps in probe.injected)


def test_the_formula_of_a_group(lab):
    """Centred: both sides about the mean of the group, over its K = G - 1 degrees of freedom."""
    bench = lab.bench([3, 4, 2], lab.profile(read=1), chips=2, batch=5)
    rule = RULES["wp"](sigma=0.03, samples=3)
    plan = rule.plan(bench.rig.network)
    bench.rig.next_batch()
    (probe,) = bench.rig.run(plan.probes, plan.samples)
    updates, _ = bench.update(rule, None, rule.estimate(None, [probe], bench.rig.network))
    loss = probe.loss.mean(2)
    assert loss.shape == (2, 4)
    for update, eps in zip(updates, probe.injected_weights, strict=True):
        apart = eps - eps.mean(1, keepdim=True)
        expected = ((loss - loss.mean(1, keepdim=True))[..., None, None] * apart).sum(1) / (3 * 0.03**2)
        torch.testing.assert_close(update.dense, expected)


def test_spsa_of_a_quadratic_loss_is_exact_in_its_direction(lab):
    """Even orders cancel at any size: G_i = sum_j g_j eps_j / eps_i, on a noise-free chip, K = 1, sigma = 0.3."""
    bench = lab.bench([3, 4], profile(), chips=3, mapping=WIDE)
    rule, (true,) = RULES["spsa"](sigma=0.3), bench.gradients()[1]
    plan = rule.plan(bench.rig.network)
    bench.rig.next_batch()
    probes = bench.rig.run(plan.probes)
    (update,), _ = bench.update(rule, None, rule.estimate(None, probes, bench.rig.network))
    up, down = (each.injected_weights[0][:, 0] for each in probes)
    assert torch.equal(up, -down)
    assert torch.equal(up.abs(), torch.full_like(up, 0.3))
    expected = (true * up).sum((1, 2), keepdim=True) / up
    torch.testing.assert_close(update.dense, expected, rtol=1e-10, atol=1e-12)
    one_sided, _ = dense(bench, RULES["wp"](sigma=0.3, baseline="shared"))
    assert not torch.allclose(one_sided[0], expected)


class OneBatch:
    loss = LOSSES["squared"]
    batch = torch.tensor([[[0.7], [-1.2]]]).double(), torch.tensor([[[0.3], [0.4]]]).double()

    def next_batch(self):
        return self.batch


@pytest.mark.parametrize("path", [True, False], ids=["path", "writes"])
def test_spsa_in_one_weight_is_the_gradient(path):
    """L = mean (w x - t)^2 / 2: both signs give dL/dw itself, whatever sigma is."""
    network = Network.mlp([1, 1], bias=False)
    chip = Chip(network, profile(path), dtype=torch.float64, mapping=WIDE)
    chip.program([torch.full((1, 1, 1), 0.5).double()])
    rig = Rig(chip, OneBatch(), Access.WEIGHT_INJECTION)
    rule = RULES["spsa"](sigma=0.8)
    controller = Controller(rig, rule, [torch.full((1, 1, 1), 0.5).double()], torch.optim.SGD, 1.0)
    controller.step()
    x, t = OneBatch.batch
    gradient = ((0.5 * x - t) * x).mean()
    torch.testing.assert_close(controller.copy.weights[0].flatten()[0], 0.5 - gradient, rtol=1e-12, atol=1e-12)
    assert chip.device_writes.tolist() == [1 if path else 5], "the step's own write, and two for each of two passes"


@pytest.mark.parametrize("name", ["wp", "spsa"])
def test_writes_and_path_agree_on_ideal_devices(lab, name):
    found = []
    for path in (True, False):
        bench = lab.bench([3, 4, 2], profile(path), chips=2, mapping=WIDE)
        found.append(dense(bench, RULES[name](sigma=0.05, samples=3))[0])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ["wp", "spsa"])
def test_inputs_are_observed_for_decorrelation_only(lab, name):
    """Without it not even the layers' inputs are recorded; with it learning goes on, and R moves."""
    plan = RULES[name](samples=2).plan(Network.mlp([3, 2]))
    assert all(each.record == {"injected"} for each in plan.probes)
    bench = lab.bench([3, 4, 2], lab.profile(read=1), chips=2)
    controller = Controller(bench.rig, RULES[name](samples=2), bench.weights, torch.optim.SGD, 1e-3, Decorrelation())
    controller.step()
    for r in controller.copy.periphery.decorrelation:
        assert not torch.equal(r, torch.eye(r.shape[1], dtype=r.dtype).expand_as(r))
    assert not controller.diverged.any()


@pytest.mark.parametrize("name", ["wp", "spsa"])
def test_it_learns(lab, name):
    """100 steps on one batch of a single layer with perturbations that are written; the loss falls to a third."""
    bench = lab.bench([3, 2], lab.profile(read=0.1), chips=4, activation=Identity(), mapping=WIDE)
    before = bench.loss(bench.chip.oracle.weights, [torch.zeros(4, 3, 2).double()]).mean(1)
    controller = Controller(bench.rig, RULES[name](sigma=0.02, samples=4), bench.weights, torch.optim.SGD, 0.05)
    for _ in range(100):
        controller.step()
    after = bench.loss(bench.chip.oracle.weights, [torch.zeros(4, 3, 2).double()]).mean(1)
    assert (after < before / 3).all()


def test_a_report_comes_with_the_injected_record_only(lab):
    bench = lab.bench([3, 4, 2], lab.profile(), chips=2)
    eps = Injection(0.1, site="weights", layers=(1,))
    bench.rig.next_batch()
    silent, told, other = bench.rig.run(
        (
            Pass(inject=eps),
            Pass(inject=eps, record=frozenset({"injected"})),
            Pass(inject=Injection(0.1), record=frozenset({"injected"})),
        ),
        samples=2,
    )
    assert silent.injected_weights is None
    assert other.injected_weights is None
    assert [tuple(e.shape) for e in told.injected_weights] == [(2, 2, 4, 4), (2, 2, 2, 5)]
    assert (told.injected_weights[0] == 0).all()
    assert (told.injected_weights[1] != 0).all()
    assert torch.equal(told.clone().injected_weights[1], told.injected_weights[1])
