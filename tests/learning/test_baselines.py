"""What a noisy pass is compared with: the cosine to the gradient against the number K of passes, by baseline.

Chips are the replications (n = 64, each with weights, data and noise of its own). Statements are intervals of Student's
t, 99.9 % on one side, of cosines or of their differences on the same chip.
"""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from analogsim.learning import RULES

CHIPS, BATCH, SIZES = 64, 10, [12, 10, 8, 5]
SAMPLES = (1, 8, 64, 256)
BASELINES = ("clean", "pairs", "centred", "shared")


def cosines(lab, name, baseline, **settings):
    """Cosines of a rule's update to the gradient, {K: (layers, chips)}; a larger K goes on from a smaller one."""
    bench = lab.bench(SIZES, lab.profile(read=1), chips=CHIPS, batch=BATCH, loss="cross_entropy", dtype=torch.float32)
    _, true = bench.gradients()
    rule = RULES[name](baseline=baseline, **settings)
    plan = rule.plan(bench.rig.network)
    bench.rig.next_batch()
    reference = None if plan.baseline is None else bench.rig.run((plan.baseline,))[0].clone()
    estimate, done, found = None, 0, {}
    for k in SAMPLES:
        wanted = k + (baseline == "centred")
        part = rule.estimate(reference, bench.rig.run(plan.probes, wanted - done), bench.rig.network)
        estimate, done = part if estimate is None else estimate.merge(part), wanted
        updates, _ = bench.update(rule, reference, estimate)
        pairs = zip(updates, true, strict=True)
        each = [torch.cosine_similarity(u.direction().flatten(1), g.flatten(1), dim=1) for u, g in pairs]
        found[k] = torch.stack(each).double()
    return found


@pytest.fixture(scope="module")
def anp(lab):
    """ANP on the chips' own noise, {baseline: {K: (layers, chips)}}."""
    return {baseline: cosines(lab, "anp", baseline) for baseline in BASELINES}


@pytest.fixture(scope="module")
def node(lab):
    """NP with an injection of the size of the chips' noise."""
    return {baseline: cosines(lab, "np", baseline, sigma=0.2) for baseline in BASELINES}


def at_least(x):
    """Lower end of the interval of the mean over chips, per layer."""
    return x.mean(1) - float(stats.t.isf(1e-3, CHIPS - 1)) * x.std(1) / CHIPS**0.5


def at_most(x):
    return -at_least(-x)


@pytest.mark.parametrize("baseline", ["clean", "pairs", "centred"])
def test_anp_rises_with_k(anp, baseline):
    """In the first layers all along; the last saturates early, at ANP's own bias."""
    found = anp[baseline]
    for fewer, more in ((1, 8), (8, 64)):
        assert (at_least(found[more] - found[fewer]) > 0).all()
    assert (at_least(found[256] - found[64])[:2] > 0).all()
    assert (at_least(found[256])[:2] > 0.8).all()


def test_anp_with_a_shared_baseline_has_a_floor(anp):
    """Its own noise never averages out: K from 64 to 256 adds next to nothing, and it stays far below centred."""
    shared, centred = anp["shared"], anp["centred"]
    gained = shared[256] - shared[64]
    assert (at_most(gained) < 0.05).all()
    assert at_least(centred[256] - centred[64] - gained)[0] > 0
    assert (at_least(centred[256] - shared[256]) > torch.tensor([0.3, 0.15, 0.0])).all()
    assert at_most(shared[256])[0] < 0.6


def test_with_one_pass_to_compare_shared_is_pairs(anp):
    """K = 1: shared, pairs and centred are the two-pass rule; no difference can be seen between them."""
    for a, b in (("shared", "pairs"), ("shared", "centred"), ("pairs", "centred")):
        difference = anp[a][1] - anp[b][1]
        assert (at_least(difference) < 0).all()
        assert (at_most(difference) > 0).all()


@pytest.mark.parametrize("baseline", BASELINES)
def test_np_rises_with_k_under_every_baseline(node, baseline):
    """A shared baseline has no floor under NP: the error of its loss multiplies the mean injection, which vanishes."""
    found = node[baseline]
    for fewer, more in ((8, 64), (64, 256)):
        assert (at_least(found[more] - found[fewer]) > 0).all()
    assert (at_least(found[256]) > torch.tensor([0.6, 0.7, 0.7])).all()
