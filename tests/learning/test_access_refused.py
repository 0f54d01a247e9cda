"""A rule that needs more than is granted is refused before anything runs, and the hardware refuses on its own too."""

from __future__ import annotations

import itertools

import pytest
import torch

from analogsim.learning import RULES, Controller, Decorrelation
from analogsim.network import Network
from analogsim.port import DEFAULT_GRANTS, Access, AccessError, Injection, Limits, Pass

BASELINES = ("clean", "shared", "pairs", "centred")
SETTINGS = [
    *(("bp", {"backward": backward}) for backward in ("transposed", "copy")),
    ("fa", {}),
    ("dfa", {}),
    *(
        ("learned_feedback", {"baseline": baseline, "form": form})
        for baseline, form in (("clean", "fa"), ("pairs", "dfa"))
    ),
    *(("synthetic_gradient", {"backward": backward}) for backward in ("transposed", "copy")),
    ("matching", {}),
    *(("np", {"baseline": baseline, "samples": k}) for baseline, k in itertools.product(BASELINES, (1, 4))),
    *(("anp", {"baseline": baseline, "sigma": s}) for baseline, s in itertools.product(BASELINES, (0.0, 0.1))),
    *(("inp", {"baseline": baseline, "samples": k}) for baseline, k in itertools.product(BASELINES, (1, 4))),
    *(("wp", {"baseline": baseline, "samples": k}) for baseline, k in itertools.product(BASELINES, (1, 4))),
    *(("spsa", {"samples": k}) for k in (1, 4)),
    *(
        ("reinforce", {"baseline": baseline, "backward": backward})
        for baseline, backward in itertools.product(BASELINES, ("copy", "transposed"))
    ),
    *((name, {}) for name in ("fa", "dfa", "learned_feedback", "synthetic_gradient", "matching")),
    *(("canp", {"baseline": baseline, "sigma": s}) for baseline, s in (("clean", 0.0), ("centred", 0.1))),
    *(("identified", {"baseline": baseline, "sigma": s}) for baseline, s in (("clean", 0.0), ("centred", 0.1))),
]


class Spy:
    """Hardware that grants what it is told and writes down every call."""

    network = Network.mlp([3, 2])
    chips = 1
    limits = Limits((None,), (None,), (None,))

    def __init__(self, grants):
        self.grants = grants
        self.calls = []

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)

        def call(*arguments, **keywords):
            self.calls.append((name, arguments, keywords))
            raise NotImplementedError(name)

        return call


def controller(hardware, rule, decorrelation=None):
    return Controller(hardware, rule, [torch.zeros(1, 2, 4)], torch.optim.SGD, 0.1, decorrelation)


def test_every_rule_is_tested():
    assert {name for name, _ in SETTINGS} == set(RULES)


@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=str)
def test_each_missing_grant_is_refused_before_anything_runs(name, settings):
    rule = RULES[name](**settings)
    for missing in [flag for flag in Access if flag in rule.requires]:
        grants = ~missing
        hardware = Spy(grants)
        with pytest.raises(AccessError) as refusal:
            controller(hardware, rule, Decorrelation() if Access.ACTIVITIES in rule.requires else None)
        assert hardware.calls == []
        message = str(refusal.value)
        needs, rest = message.split("; this chip grants ")
        granted, rest = rest.split(", so ")
        lacks, rest = rest.split(" is missing")
        would = rest.split("Rules that would work: ")[1].split(". ")[0]
        assert needs == f"rule {name!r} needs {', '.join(rule.requires.names)}"
        assert granted == ", ".join(grants.names)
        assert lacks == ", ".join(missing.names)
        works = [other for other, kind in RULES.items() if kind().requires in grants]
        assert would == (", ".join(works) or "none")
        assert f"oracle: [{lacks}]" in message


@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=str)
def test_what_it_requires_is_enough(name, settings):
    """With exactly the grants it asks for a rule passes the gate: its plan and its periphery are all that follows."""
    rule = RULES[name](**settings)
    assert rule.plan(Spy.network).access in rule.requires
    hardware = Spy(rule.requires)
    with pytest.raises(NotImplementedError, match="set_periphery"):
        controller(hardware, rule)
    assert [name for name, *_ in hardware.calls] == ["set_periphery"]


def test_needs_are_what_the_papers_say():
    assert RULES["bp"]().requires & ~DEFAULT_GRANTS == Access.OUTPUT_ERROR | Access.TRANSPOSED_READ
    assert RULES["bp"](backward="copy").requires & ~DEFAULT_GRANTS == Access.OUTPUT_ERROR
    for name in ("fa", "dfa", "learned_feedback", "matching"):
        assert RULES[name]().requires & ~DEFAULT_GRANTS == Access.OUTPUT_ERROR
    assert Access.INJECTION in RULES["learned_feedback"]().requires
    assert Access.TRANSPOSED_READ in RULES["synthetic_gradient"]().requires
    assert RULES["synthetic_gradient"](backward="copy").requires & ~DEFAULT_GRANTS == Access.OUTPUT_ERROR
    assert RULES["anp"]().requires == Access.ACTIVITIES | Access.LOSS
    assert RULES["anp"](sigma=0.1).requires == DEFAULT_GRANTS
    assert RULES["np"]().requires == DEFAULT_GRANTS
    for name in ("np", "anp"):
        assert Access.CLEAN_PASS in RULES[name](baseline="clean").requires
        assert Access.CLEAN_PASS not in RULES[name](baseline="centred").requires


def test_weight_perturbation_looks_at_no_activities():
    """It needs a scalar; decorrelation is what looks at layer inputs, and is refused by its name."""
    for name in ("wp", "spsa"):
        rule = RULES[name]()
        assert rule.requires == Access.LOSS | Access.WEIGHT_INJECTION
        hardware = Spy(rule.requires)
        with pytest.raises(AccessError, match=f"rule '{name}' with decorrelation needs activities, loss, weight_inj"):
            controller(hardware, rule, Decorrelation())
        assert hardware.calls == []


def test_no_chip_grants_perturbed_weights_unless_it_says_so():
    with pytest.raises(AccessError, match="so weight_injection is missing"):
        controller(Spy(DEFAULT_GRANTS), RULES["wp"]())


def test_reinforce_needs_no_vector_unless_it_reads_backwards():
    assert RULES["reinforce"]().requires == DEFAULT_GRANTS
    assert RULES["reinforce"](backward="transposed").requires == DEFAULT_GRANTS | Access.TRANSPOSED_READ


def test_nothing_granted_nothing_works():
    with pytest.raises(AccessError, match=r"grants nothing, so .* is missing\. Rules that would work: none"):
        controller(Spy(Access(0)), RULES["bp"]())


REFUSED = {
    Access.CLEAN_PASS: Pass(clean=True),
    Access.OUTPUT_ERROR: Pass(record=frozenset({"output_error"})),
    Access.INJECTION: Pass(inject=Injection(0.1)),
    Access.WEIGHT_INJECTION: Pass(inject=Injection(0.1, site="weights")),
    Access.ACTIVITIES: Pass(record=frozenset({"pre_activations"})),
    Access.LOSS: Pass(record=frozenset()),
}


@pytest.mark.parametrize("missing", REFUSED, ids=lambda flag: flag.name)
def test_rig_refuses_passes_beyond_its_grants(lab, missing):
    """Also as the second of two passes; nothing ran, and no random number was drawn."""
    bench = lab.bench([3, 2], lab.profile(read=1))
    everything = ~Access.TRANSPOSED_READ
    rig = bench.rig
    rig.grants = everything & ~missing
    rig.next_batch()
    plain = () if missing is Access.LOSS else (Pass(record=frozenset()),)
    drawn = bench.chip.streams.state_dict()["generators"].keys()
    with pytest.raises(AccessError, match=f"does not grant {missing.name.lower()}; it grants"):
        rig.run((*plain, REFUSED[missing]))
    assert rig.passes == 0
    assert bench.chip.streams.state_dict()["generators"].keys() == drawn
    rig.grants = everything
    rig.run((REFUSED[missing],))
    assert rig.passes == 1


def test_rig_refuses_a_transposed_read(lab):
    bench = lab.bench([3, 2, 2], oracle=Access.OUTPUT_ERROR)
    rig = bench.rig
    rig.next_batch()
    (seen,) = rig.run((Pass(record=frozenset({"inputs", "pre_activations", "output_error"})),))
    vectors = seen.output_error[:, 0], *(tuple(x[:, 0] for x in each) for each in (seen.inputs, seen.pre_activations))
    with pytest.raises(AccessError, match="does not grant transposed_read; it grants activities, loss, injection, out"):
        rig.backward(*vectors)
    rig.grants |= Access.TRANSPOSED_READ
    assert len(rig.backward(*vectors)) == 2


def test_oracle_adds_to_what_the_chip_grants(lab):
    assert lab.bench([3, 2], oracle=Access(0)).rig.grants == DEFAULT_GRANTS
    assert lab.bench([3, 2], oracle=Access.CLEAN_PASS).rig.grants == DEFAULT_GRANTS | Access.CLEAN_PASS


def test_no_batch_yet(lab):
    with pytest.raises(RuntimeError, match="call next_batch first"):
        lab.bench([3, 2]).rig.run((Pass(),))
