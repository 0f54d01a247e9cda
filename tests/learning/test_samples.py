"""K samples: the mean of K one-sample estimates, or one group however it is split."""

from __future__ import annotations

import pytest
import torch

from analogsim.learning import RULES
from analogsim.network import LeakyReLU
from analogsim.port import Access, Observation

K = 5
EVERYTHING = ~Access(0)


def _cases(*wanted):
    """Rules whose updates are linear in what they estimate, whatever their state."""
    for name in ("np", "anp", "inp", "wp", "reinforce"):
        for baseline in wanted:
            yield pytest.param(name, {"baseline": baseline}, id=f"{name} {baseline}")
    if "centred" not in wanted:
        yield pytest.param("spsa", {}, id="spsa")


def some(seen, samples):
    """An observation of some of the samples."""

    def cut(value):
        if value is None or isinstance(value, torch.Tensor):
            return None if value is None else value[:, samples]
        return tuple(each[:, samples] for each in value)

    parts = {name: cut(value) for name, value in seen._asdict().items() if name != "masks"}
    return Observation(**parts, masks=seen.masks)


def observed(lab, name, settings):
    """A bench, the rule, its baseline, and the probes of K samples."""
    bench = lab.bench([5, 7, 3], lab.profile(read=2), activation=LeakyReLU(0.1), chips=2, batch=4, oracle=EVERYTHING)
    rule = RULES[name](samples=K, **settings)
    plan = rule.plan(bench.rig.network)
    bench.rig.next_batch()
    baseline = None if plan.baseline is None else bench.rig.run((plan.baseline,))[0].clone()
    return bench, rule, baseline, [each.clone() for each in bench.rig.run(plan.probes, plan.samples)]


def directions(bench, rule, baseline, estimate):
    updates, _ = bench.update(rule, baseline, estimate)
    return [update.direction() for update in updates]


def split(bench, rule, baseline, probes, sizes):
    """Estimates of successive parts of the samples."""
    found, start = [], 0
    for size in sizes:
        part = [some(each, slice(start, start + size)) for each in probes]
        found.append(rule.estimate(baseline, part, bench.rig.network))
        start += size
    return found


@pytest.mark.parametrize(("name", "settings"), list(_cases("clean", "shared", "pairs")))
def test_k_samples_are_the_mean_of_k_estimates(lab, name, settings):
    """What an update is made of, on either side; below the output REINFORCE takes derivatives at mean activities."""
    bench, rule, baseline, probes = observed(lab, name, settings)
    whole = rule.estimate(baseline, probes, bench.rig.network)
    single = split(bench, rule, baseline, probes, [1] * K)
    updates, counters = bench.update(rule, baseline, whole)
    each = [bench.update(rule, baseline, estimate)[0] for estimate in single]
    last = len(updates) - 1
    for index, (update, parts) in enumerate(zip(updates, zip(*each, strict=True), strict=True)):
        if update.dense is not None:
            torch.testing.assert_close(update.dense, sum(part.dense for part in parts) / K, rtol=1e-9, atol=1e-11)
            continue
        torch.testing.assert_close(update.pre, sum(part.pre for part in parts) / K)
        if not (name == "reinforce" and settings["baseline"] == "pairs" and index < last):
            torch.testing.assert_close(update.post, sum(part.post for part in parts) / K, rtol=1e-9, atol=1e-11)
    total = single[0]
    for other in single[1:]:
        total = total.merge(other)
    again, same = bench.update(rule, baseline, total)
    for a, b in zip(updates, again, strict=True):
        assert a.direction().abs().max() > 0
        torch.testing.assert_close(a.direction(), b.direction(), rtol=1e-9, atol=1e-11)
    assert torch.equal(counters.vectors, same.vectors)


@pytest.mark.parametrize(("name", "settings"), list(_cases("centred")))
@pytest.mark.parametrize("sizes", [[1] * 6, [2, 4], [5, 1], [3, 1, 2]], ids=str)
def test_merged_chunks_are_one_group(lab, name, settings, sizes):
    bench, rule, baseline, probes = observed(lab, name, settings)
    assert probes[0].loss.shape[1] == K + 1
    whole = rule.estimate(baseline, probes, bench.rig.network)
    first, *rest = split(bench, rule, baseline, probes, sizes)
    for each in rest:
        first = first.merge(each)
    for a, b in zip(directions(bench, rule, baseline, whole), directions(bench, rule, baseline, first), strict=True):
        assert a.abs().max() > 0
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)
