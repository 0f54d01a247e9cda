"""INP beside ANP and NP: the same in one layer, and unbiased through several, where ANP is not."""

from __future__ import annotations

import pytest
import torch

from analogsim.learning import RULES
from analogsim.network import Identity

BASELINES = ["clean", "shared", "pairs", "centred"]
SIGMA = 0.05


def directions(lab, name, sizes, baseline, samples=1, sigma=SIGMA, **options):
    """A rule's estimates of dL/da (C, B, units) from a first step; equal seeds give equal perturbations."""
    bench = lab.bench(sizes, batch=20, chips=2, loss="cross_entropy", **options)
    rule = RULES[name](sigma=sigma, baseline=baseline, samples=samples)
    updates, _ = bench.update(rule, *bench.observe(rule))
    return [update.post for update in updates]


@pytest.mark.parametrize("samples", [1, 5])
@pytest.mark.parametrize("baseline", BASELINES)
def test_in_a_single_layer_it_is_anp(lab, baseline, samples):
    """On a noise-free chip da is the perturbation itself: every estimate is the same, and with it the mean."""
    (layerwise,), (activity,) = (directions(lab, name, [6, 9], baseline, samples) for name in ("inp", "anp"))
    assert layerwise.abs().max() > 0.1
    torch.testing.assert_close(layerwise, activity, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("baseline", BASELINES)
def test_in_a_single_layer_it_is_np_up_to_the_normalisation(lab, baseline):
    """INP = N sigma^2 / ||eps||^2 x NP; centred with G = 2: ||eps||^2 is that about the mean, over G - 1."""
    (layerwise,), (node,) = (directions(lab, name, [6, 9], baseline) for name in ("inp", "np"))
    bench = lab.bench([6, 9], batch=20, chips=2, loss="cross_entropy")
    rule = RULES["inp"](sigma=SIGMA, baseline=baseline)
    plan = rule.plan(bench.rig.network)
    bench.rig.next_batch()
    eps = bench.rig.run(plan.probes[-1:], plan.samples)[0].injected[0]
    power = eps.var(1).sum(2) if baseline == "centred" else eps[:, 0].square().sum(2)
    ratio = 9 * SIGMA**2 / power
    assert ratio.std() > 0.1, "the ratio differs between samples"
    torch.testing.assert_close(layerwise, ratio[..., None] * node, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("baseline", ["clean", "shared", "pairs"])
def test_each_layer_learns_from_its_own_pass(lab, baseline):
    """g_l = N_l dL_l v_l / ||v_l||^2 by hand, and inputs of the passes that stand for the unperturbed network."""
    bench = lab.bench([6, 9, 4], lab.profile(read=1), batch=5, chips=2)
    rule = RULES["inp"](sigma=SIGMA, baseline=baseline)
    plan = rule.plan(bench.rig.network)
    bench.rig.next_batch()
    reference = None if plan.baseline is None else bench.rig.run((plan.baseline,))[0].clone()
    probes = bench.rig.run(plan.probes)
    updates, counters = bench.update(rule, reference, rule.estimate(reference, probes, bench.rig.network))
    for index, units in enumerate((9, 4)):
        own = probes[2 * index + 1] if reference is None else probes[index]
        before = probes[2 * index] if reference is None else reference
        for other in range(2):
            assert bool((own.injected[other] != 0).any()) == (other == index), "no other layer is perturbed"
        v = own.injected[index][:, 0]
        expected = units * ((own.loss - before.loss)[:, 0] / v.square().sum(2))[..., None] * v
        torch.testing.assert_close(updates[index].post, expected)
        assert torch.equal(updates[index].pre, before.inputs[index][:, 0])
    assert counters.vectors.tolist() == [5, 5]
    assert counters.silent.tolist() == [0, 0]


def test_centred_has_a_group_for_each_layer(lab):
    """Both moments and the inputs come from the layer's own K + 1 passes."""
    bench = lab.bench([6, 9, 4], lab.profile(read=1), batch=5, chips=2)
    rule = RULES["inp"](sigma=SIGMA, samples=3)
    assert rule.baseline == "centred"
    plan = rule.plan(bench.rig.network)
    bench.rig.next_batch()
    probes = bench.rig.run(plan.probes, plan.samples)
    updates, _ = bench.update(rule, None, rule.estimate(None, probes, bench.rig.network))
    for index, (units, own) in enumerate(zip((9, 4), probes, strict=True)):
        change = own.loss - own.loss.mean(1, keepdim=True)
        v = own.injected[index] - own.injected[index].mean(1, keepdim=True)
        top, power = (change[..., None] * v).sum(1), v.square().sum((1, 3))
        torch.testing.assert_close(updates[index].post, units * top / power[..., None])
        torch.testing.assert_close(updates[index].pre, own.inputs[index].mean(1))


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("samples", [1, 3])
def test_passes_of_a_step(lab, depth, samples):
    network = lab.bench([2] * (depth + 1)).rig.network
    expected = {"clean": depth * samples + 1, "pairs": 2 * depth * samples, "centred": depth * (samples + 1)}
    for baseline, passes in {**expected, "shared": depth * samples + 1}.items():
        assert RULES["inp"](baseline=baseline, samples=samples).plan(network).passes == passes


@pytest.mark.parametrize("baseline", BASELINES)
def test_its_mean_is_the_gradient(lab, baseline):
    """Linear network, squared loss, column noise: unbiased at every sigma; n = 400 chips that differ in noise only.

    L - L_0 = g.v + v.Q.v / 2 + terms linear in the chip's noise, which has mean zero. E[N v v^T / ||v||^2] = I for an
    isotropic law, and the quadratic term is odd. Bonferroni's bound over all components, alpha = 1e-4.
    """
    bench = lab.bench([4, 5, 3, 2], lab.profile(column=3), activation=Identity(), chips=400, alike=True)
    true, _ = bench.gradients()
    rule = RULES["inp"](sigma=0.2, baseline=baseline, samples=8)
    updates, _ = bench.update(rule, *bench.observe(rule))
    found = [update.post for update in updates]
    largest, bound = lab.largest_t([g - t for g, t in zip(found, true, strict=True)])
    assert largest < bound
    largest, bound = lab.largest_t([g - 0.75 * t for g, t in zip(found, true, strict=True)])
    assert largest > bound, "n is too small to see a bias of a quarter"


def test_through_two_layers_anp_is_biased_and_inp_is_not(lab):
    """ANP's mean in a linear net is (I + J J^T) g above and g below, up to one scale; INP's is g. n = 2000 chips.

    Both are judged by the output layer's direction orthogonal to g, where ANP's bias lies: INP's mean is zero there.
    """
    bench = lab.bench([3, 4, 3], activation=Identity(), chips=2000, alike=True, batch=1)
    true = bench.gradients()[0][1]
    unit = torch.nn.functional.normalize(true[:1], dim=2)
    j = bench.weights[1][:1, :, :4]
    bias = torch.einsum("cij,ckj,cbk->cbi", j, j, true[:1])
    aside = torch.nn.functional.normalize(bias - (bias * unit).sum(2, keepdim=True) * unit, dim=2)
    for name, unbiased in (("inp", True), ("anp", False)):
        rule = RULES[name](sigma=1e-4, baseline="clean", samples=4)
        updates, _ = bench.update(rule, *bench.observe(rule))
        largest, bound = lab.largest_t([(updates[1].post * aside).sum(2, keepdim=True)])
        assert (largest < bound) == unbiased
