"""How many passes each baseline costs, and what is recorded in them."""

from __future__ import annotations

import pytest

from analogsim.learning import RULES
from analogsim.network import Network
from analogsim.port import Injection, Pass

NETWORK = Network.mlp([4, 3, 2])


@pytest.mark.parametrize("name", ["np", "anp"])
@pytest.mark.parametrize("samples", [1, 2, 7])
def test_passes_of_a_step(name, samples):
    """K probes: one more pass for `clean`, `shared` and `centred`, as many more for `pairs`."""
    extra = {"clean": 1, "shared": 1, "centred": 1, "pairs": samples}
    for baseline, more in extra.items():
        plan = RULES[name](baseline=baseline, samples=samples).plan(NETWORK)
        assert plan.passes == samples + more
        assert (plan.baseline is None) == (baseline in ("pairs", "centred"))


@pytest.mark.parametrize("name", ["np", "anp"])
def test_default_baseline(name):
    """One shared pass for one probe, centred for more; also where only one of the two is given."""
    rule = RULES[name]
    assert rule().baseline == rule(samples=1).baseline == "shared"
    assert rule(samples=2).baseline == rule(samples=2, baseline=None).baseline == "centred"
    assert rule(samples=2, baseline="shared").baseline == "shared"
    assert rule(samples=1, baseline="centred").baseline == "centred"


def test_only_the_clean_baseline_is_clean_and_only_probes_are_perturbed():
    for baseline in ("clean", "shared", "pairs", "centred"):
        plan = RULES["anp"](baseline=baseline, sigma=0.1, samples=3).plan(NETWORK)
        reference = {"pairs": plan.probes[0], "centred": None}.get(baseline, plan.baseline)
        assert plan.probes[-1].inject == Injection(0.1)
        assert not any(each.clean for each in plan.probes)
        if reference is not None:
            assert reference.clean == (baseline == "clean")
            assert reference.inject is None


@pytest.mark.parametrize("baseline", ["clean", "shared", "pairs", "centred"])
def test_np_never_sees_pre_activations(baseline):
    """Nor anything but its own perturbation and the layers' inputs."""
    plan = RULES["np"](baseline=baseline, samples=3).plan(NETWORK)
    for each in (*plan.probes, *([] if plan.baseline is None else [plan.baseline])):
        assert each.record <= {"inputs", "injected"}


def test_anp_without_injection_perturbs_nothing():
    plan = RULES["anp"](samples=3).plan(NETWORK)
    assert plan.probes == (Pass(record=frozenset({"inputs", "pre_activations"})),)
