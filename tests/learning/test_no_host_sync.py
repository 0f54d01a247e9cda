"""A step never waits for a GPU: nothing is brought to the host, nothing depends on a value there."""

from __future__ import annotations

import itertools

import pytest
import torch

from analogsim.chip import Mapping
from analogsim.learning import RULES, Controller, Decorrelation, WeightDecay
from analogsim.network import LeakyReLU, Network, Stack
from analogsim.study.loss_channel import LossChannelSettings

BASELINES = ("clean", "shared", "pairs", "centred")
OPTIMIZERS = (torch.optim.Adam, torch.optim.SGD, torch.optim.RMSprop)

RULE_SETTINGS = [
    *(("bp", {"backward": backward}) for backward in ("transposed", "copy")),
    *(
        (name, {"baseline": baseline, "samples": samples})
        for name, baseline, samples in itertools.product(("np", "anp"), BASELINES, (1, 3))
    ),
    *(
        (name, {"baseline": baseline, "samples": samples})
        for name, (baseline, samples) in itertools.product(("inp", "wp", "reinforce"), (("shared", 1), ("centred", 3)))
    ),
    ("anp", {"baseline": "centred", "samples": 3, "sigma": 0.1}),
    ("np", {"baseline": "two_sided", "samples": 3}),
    ("spsa", {"samples": 2}),
    ("reinforce", {"baseline": "centred", "samples": 3, "backward": "transposed", "perturb": "all"}),
    ("canp", {"samples": 3}),
    ("canp", {"covariance": "full", "baseline": "pairs"}),
    ("identified", {"samples": 3}),
    ("identified", {"estimator": "rls", "output": "covariance"}),
    ("fa", {}),
    ("dfa", {}),
    ("learned_feedback", {"samples": 3}),
    ("learned_feedback", {"solver": "ridge", "baseline": "pairs"}),
    ("learned_feedback", {"form": "dfa"}),
    ("synthetic_gradient", {"backward": "copy"}),
    ("matching", {"decay": 0.1}),
]


@pytest.mark.parametrize(("name", "settings"), RULE_SETTINGS, ids=str)
def test_no_step_synchronises(host_sync, name, settings):
    """Each rule and baseline; decorrelation, chunk and optimiser go round with them."""
    index = RULE_SETTINGS.index((name, settings))
    decorrelation = Decorrelation() if index % 2 else None
    _, operations = host_sync.guarded_step(
        RULES[name](**settings), OPTIMIZERS[index % 3], decorrelation, (None, 2)[index // 2 % 2]
    )
    assert operations > 100


@pytest.mark.parametrize(("name", "settings"), [("anp", {}), ("bp", {}), ("identified", {"samples": 3})], ids=str)
def test_no_convolution_synchronises(host_sync, name, settings):
    """Nor max pooling, which chooses by value, nor dropout, which draws."""
    stack = Stack((2, 5, 4))
    stack.conv(3, 2, padding=1, activation=LeakyReLU(0.1))
    stack.max_pool(2)
    stack.dropout(0.3)
    stack.dense(4)
    _, operations = host_sync.guarded_step(RULES[name](**settings), network=Network(tuple(stack.layers)))
    assert operations > 100


@pytest.mark.parametrize(
    ("name", "rule", "settings"),
    [
        ("np", {}, {"kappa": 0.5, "preserve_power": True}),
        ("bp", {}, {"share": 0.3, "layers": (1,)}),
        ("anp", {"samples": 3}, {"where": "crossbar", "kappa": 0.5, "preserve_power": True, "share": 0.3}),
    ],
    ids=str,
)
def test_no_companion_synchronises(host_sync, name, rule, settings):
    """Variants of decorrelation, weight decay, a noisy channel of few bits, and losses that wait for two steps."""
    with host_sync.fake_gpu():
        rig, weights = host_sync.bench(channel=LossChannelSettings(bits=4, range=3.0, sigma=0.1))
        controller = Controller(
            rig,
            RULES[name](**rule),
            weights,
            torch.optim.Adam,
            0.1,
            Decorrelation(**settings),
            decay=WeightDecay(strength=0.1),
            delay=2,
            choosing=[None, None],
        )
        with host_sync.Guard() as guard:
            for _ in range(4):
                controller.step()
    assert guard.operations > 100


def test_no_mispaired_channel_synchronises(host_sync):
    with host_sync.fake_gpu():
        rig, weights = host_sync.bench(channel=LossChannelSettings(delay=2, mispaired=True))
        controller = Controller(rig, RULES["np"](), weights, torch.optim.SGD, 0.1)
        with host_sync.Guard():
            for _ in range(4):
                controller.step()


def test_every_rule_is_tested():
    assert {name for name, _ in RULE_SETTINGS} == set(RULES)


@pytest.mark.parametrize(
    "options",
    [
        {"mapping": Mapping("follow")},
        {"mapping": Mapping("fixed", "column")},
        {"loss": "squared"},
        {"converters": False},
        {"sampling": "device"},
        {"device": "pcm"},
        {"device": "pcm", "mapping": Mapping("follow"), "sampling": "device"},
        {"device": "reram"},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["bp", "np"])
def test_no_chip_synchronises(host_sync, name, options):
    host_sync.guarded_step(RULES[name](), decorrelation=Decorrelation(), **options)


LIVING = {
    "name": "living",
    "conductance": {"max": "25 uS"},
    "update": {"kind": "soft_bounds", "dw_min": 0.004, "cycle_to_cycle": 0.3, "write_noise": 1.0},
    "endurance": {"cycles": 500, "spread": 0.3},
    "half_select": {"fraction": "1 %"},
    "read_disturb": {"rate": 1e-7},
    "faults": {"stuck_low": "1 %", "dead_rows": "1 %"},
    "wires": {"resistance": "1 ohm", "solve": "resummed"},
    "conduction": {"kappa": 0.5},
    "drift": {"kind": "constant", "t0": "1 s", "mean": 0.01},
    "read_noise": [
        {"sigma": "1 %"},
        {"kind": "flicker", "q": 0.005, "t_r": "250 ns", "t0": "20 s"},
        {"kind": "telegraph", "amplitude": "5 %", "tau": "0.1 s"},
        {"kind": "telegraph", "amplitude": "5 %", "tau": "5 us"},
        {"kind": "lorentzian", "sigma": "1 %", "tau": "3 us"},
        {"kind": "lorentzian", "sigma": "1 %", "tau": "1 s"},
    ],
    "dac": {"bits": 6, "range": 3, "encoding": "bit_serial", "polarity": "two_phase"},
    "adc": {"bits": 6, "range": 5, "gain_error": "2 %"},
    "unit_noise": {"kind": "telegraph", "amplitude": 0.01, "flip": "8 %"},
}


@pytest.mark.parametrize(
    ("name", "cell", "writing"),
    [
        ("bp", "pair", "in_memory"),
        ("anp", "reference", "mixed_precision"),
        ("np", "pair", "absolute"),
    ],
)
def test_no_chip_that_lives_synchronises(host_sync, name, cell, writing):
    """Pulses, wear, faults, drift, noise that wanders while the clock goes, converters with errors."""
    host_sync.guarded_step(RULES[name](), torch.optim.SGD, writing=writing, clock=0.05, device={**LIVING, "cell": cell})


@pytest.mark.parametrize("optimizer", [*OPTIMIZERS, torch.optim.AdamW])
def test_no_optimiser_synchronises(host_sync, optimizer):
    """Also after its first step. Adam counts its steps on the GPU."""
    with host_sync.fake_gpu():
        rig, weights = host_sync.bench()
        controller = Controller(rig, RULES["anp"](), weights, optimizer, 0.1)
        with host_sync.Guard():
            controller.step()
            controller.step()
    for state in controller.state_dict()["optimizer"]["state"].values():
        assert all(value.device == host_sync.CUDA for value in state.values() if isinstance(value, torch.Tensor))


def test_a_new_epoch_crosses_once(host_sync):
    """The one transfer that is known, by design: the order of an epoch, on its way to the GPU.

    It is drawn on the CPU, so that it is the same on every device.
    """
    with host_sync.fake_gpu():
        rig, _ = host_sync.bench()
        crossings = []
        for _ in range(3 * rig.task.steps_per_epoch):
            try:
                with host_sync.Guard():
                    rig.next_batch()
            except host_sync.RefusedError as refusal:
                crossings.append(str(refusal))
                rig.next_batch()
    assert crossings == ["aten._to_copy.default goes from {'cpu'} to {'cuda'}"] * 3
