"""Perturbations of weights: written to the devices and taken back, or added by a path of their own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from analogsim.chip import Chip, Mapping
from analogsim.network import Network
from analogsim.port import Injection, LayerPulses, LayerWrite, Pass

NETWORK = Network.mlp([6, 11, 4])
PATH = {"weight_perturbation": {"path": True}}
WRITES: dict[str, Any] = {}
EPS = Injection(0.02, site="weights")
BACK = Injection(0.02, site="weights", scale=-1.0)
DEVICES = 6 * 11 + 11 + 11 * 4 + 4


def _passes(*injections: Injection | None) -> tuple[Pass, ...]:
    return tuple(Pass(inject=injection) for injection in injections)


def _given(layers: tuple[Tensor | None, ...]) -> list[Tensor]:
    found = [each for each in layers if each is not None]
    assert len(found) == len(layers)
    return found


def _expected(x: Tensor, weights: list[Tensor]) -> Tensor:
    """Outputs (C, B, n) of digital weights (C, columns, rows)."""
    for layer, w in zip(NETWORK.layers, weights, strict=True):
        x = layer.activation(layer.drive(x) @ w.transpose(1, 2))
    return x


@pytest.mark.parametrize("sampling", ["column", "device"])
@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"cell": "reference"},
        {"slices": {"count": 2, "bits": 7}},
        {"conductance": {"min": "2 uS", "max": "25 uS"}},
        {"slices": {"count": 2, "bits": 7}, "adc": {"bits": 16, "range": 20}},
    ],
    ids=["pair", "reference", "slices", "g_min", "slices read one by one"],
)
@pytest.mark.parametrize("mapping", [Mapping(), Mapping("follow"), Mapping("fixed", "column")], ids=str)
def test_a_pass_meets_its_own_weights(
    chip_of: Any, profile_of: Any, inputs_of: Any, parts: Any, mapping: Mapping, sampling: Any
) -> None:
    """Ideal devices: weights + eps, by a path exactly, and by a write within the range."""
    x = inputs_of(2, 5, 6)
    loose = 5e-3 if "slices" in parts else 1e-9  # digits of 14 bits; steps of the ADC of 6e-4
    for way in (PATH, WRITES):
        chip = chip_of(NETWORK, profile_of(**parts, **way), 2, mapping=mapping, sampling=sampling)
        before = [w.clone() for w in chip.oracle.weights]
        trace = chip.forward(x, _passes(None, EPS, Injection(0.02, site="weights", draw=1)), samples=2)
        eps = _given(trace.injected_weights)
        for index, layer in enumerate(NETWORK.layers):
            assert eps[index].shape == (2, 2, 3, layer.columns, layer.rows)
            assert (eps[index][:, :, 0] == 0).all()
            assert len(eps[index][:, :, 1:].unique()) == eps[index][:, :, 1:].numel(), (
                "each sample and draw has its own"
            )
        for s in range(2):
            for p in range(3):
                weights = [w + e[:, s, p] for w, e in zip(before, eps, strict=True)]
                torch.testing.assert_close(trace.outputs[:, s, p], _expected(x, weights), rtol=0, atol=loose)
        assert (trace.outputs[:, :, 1] - trace.outputs[:, :, 0]).abs().amax() > 0.05, "the perturbation is seen"
        assert trace.injected == (None, None)


def test_a_path_adds_to_the_most_significant_slice_what_its_share_takes_away(
    chip_of: Any, profile_of: Any, inputs_of: Any
) -> None:
    """Four binary slices, read one by one (device by device): the digital sum weighs the first with 8 / 15."""
    chip = chip_of(NETWORK, profile_of(slices={"count": 4, "bits": 1}, **PATH), 2, sampling="device")
    trace = chip.forward(inputs_of(2, 5, 6), _passes(None, Injection(0.02, site="weights", layers=(0,))))
    eps, levels, a = trace.injected_weights[0], trace.inputs[0], trace.pre_activations[0]
    assert eps is not None
    torch.testing.assert_close(a[:, 0, 1] - a[:, 0, 0], levels[:, 0, 0] @ eps[:, 0, 1].transpose(1, 2))


def test_a_pass_writes_its_own_layers_only(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    """Not even a write that changes nothing: it would draw numbers and recompute what reads see."""
    chip = chip_of(NETWORK, profile_of(), 2)
    before = [layer.array.settled for layer in chip._layers]
    each = [Injection(0.02, site="weights", layers=layers) for layers in ((0,), (0,), (1,))]
    chip.forward(inputs_of(2, 5, 6), _passes(*each))
    assert [layer.array.settled - n for layer, n in zip(chip._layers, before, strict=True)] == [4, 2]


@pytest.mark.parametrize("way", [PATH, WRITES], ids=["path", "writes"])
def test_afterwards_the_weights_are_what_they_were(chip_of: Any, profile_of: Any, inputs_of: Any, way: Any) -> None:
    chip = chip_of(NETWORK, profile_of(**way), 2)
    before = [w.clone() for w in chip.oracle.weights]
    chip.forward(inputs_of(2, 5, 6), _passes(EPS, BACK), samples=3)
    for a, b in zip(before, chip.oracle.weights, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-14, atol=0)
    (alone,) = chip.forward(inputs_of(2, 5, 6)).outputs.unbind(2)
    torch.testing.assert_close(alone[:, 0], _expected(inputs_of(2, 5, 6), before), rtol=1e-12, atol=1e-12)


def test_two_writes_of_every_pair_for_each_pass_or_none(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    counts = {}
    for name, way in (("path", PATH), ("writes", WRITES)):
        chip = chip_of(NETWORK, profile_of(programming={"kind": "constant", "sigma": "0.1 uS"}, **way), 2)
        held = [cells.conductance.clone() for layer in chip.oracle.cells for cells in layer]
        chip.forward(inputs_of(2, 5, 6), _passes(None, EPS, BACK), samples=3)
        counts[name] = chip.device_writes.tolist()
        now = [cells.conductance for layer in chip.oracle.cells for cells in layer]
        assert all(torch.equal(a, b) for a, b in zip(held, now, strict=True)) == (name == "path")
    assert counts == {"path": [0, 0], "writes": [2 * 2 * 3 * DEVICES] * 2}


@pytest.mark.parametrize("layers", [(0,), (1,), ()])
def test_other_layers_are_not_written(chip_of: Any, profile_of: Any, inputs_of: Any, layers: Any) -> None:
    chip = chip_of(NETWORK, profile_of(programming={"kind": "constant", "sigma": "0.1 uS"}), 2)
    held = [[cells.conductance.clone() for cells in layer] for layer in chip.oracle.cells]
    trace = chip.forward(inputs_of(2, 5, 6), _passes(Injection(0.02, site="weights", layers=layers)), samples=2)
    for index, layer in enumerate(chip.oracle.cells):
        untouched = all(torch.equal(cells.conductance, g) for cells, g in zip(layer, held[index], strict=True))
        assert untouched == (index not in layers)
        assert (trace.injected_weights[index] is None) == (index not in layers)


def test_programming_noise_is_drawn_anew_and_does_not_add_up(profile_of: Any) -> None:
    """After 40 perturbed passes the devices written have the error of one write, another than at first; n = 4000 pairs.

    The sum of n squares over the variance is chi-squared; alpha = 1e-6 on two sides. G_min is far above the error, so
    nothing is clamped. Of a pair only the device that carries the weight is written: the other keeps its target.
    """
    network, sigma = Network.mlp([49, 40]), 0.2e-6
    profile = profile_of(
        programming={"kind": "constant", "sigma": "0.2 uS"}, conductance={"min": "5 uS", "max": "25 uS"}
    )
    chip = Chip(network, profile, 2, dtype=torch.float64)
    w = torch.linspace(0.1, 0.5, 40 * 50, dtype=torch.float64).reshape(1, 40, 50).repeat(2, 1, 1)
    chip.program([w])
    plus, rest = chip.oracle.cells[0]
    first, resting = plus.conductance.clone(), rest.conductance.clone()
    chip.forward(torch.zeros(2, 1, 49, dtype=torch.float64), _passes(Injection(1e-3, site="weights")), samples=40)
    low, high = stats.chi2.interval(1 - 1e-6, w.numel())
    for errors, variance in (
        (first - plus.target, sigma**2),
        (plus.conductance - plus.target, sigma**2),
        (plus.conductance - first, 2 * sigma**2),
    ):
        assert low < float(errors.square().sum()) / variance < high
    assert torch.equal(rest.conductance, resting)


def test_what_lies_beyond_the_range_is_clipped_by_a_write_and_not_by_a_path(
    chip_of: Any, profile_of: Any, inputs_of: Any
) -> None:
    x, huge = inputs_of(2, 5, 6), Injection(100.0, site="weights", law="rademacher")
    for way in (WRITES, PATH):
        chip = chip_of(NETWORK, profile_of(**way), 2)
        before = [w.clone() for w in chip.oracle.weights]
        trace = chip.forward(x, _passes(huge))
        eps = [e[:, 0, 0] for e in _given(trace.injected_weights)]
        assert all(torch.equal(e.abs(), torch.full_like(e, 100.0)) for e in eps), "reported is what was asked for"
        ranges = [w_max for w_max in chip.limits.weights if w_max is not None]
        weights = [w + e for w, e in zip(before, eps, strict=True)]
        if way is WRITES:
            weights = [torch.sign(e) * w_max for e, w_max in zip(eps, ranges, strict=True)]
        torch.testing.assert_close(trace.outputs[:, 0, 0], _expected(x, weights), rtol=1e-9, atol=1e-9)
        for a, b in zip(before, chip.oracle.weights, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-13, atol=0)


def test_equal_draws_share_numbers_and_scale_flips_them(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    chip = chip_of(NETWORK, profile_of(), 2)
    asked = (
        EPS,
        BACK,
        Injection(0.04, site="weights"),
        Injection(0.02, site="weights", law="rademacher", draw=3),
        None,
    )
    for eps in _given(chip.forward(inputs_of(2, 5, 6), _passes(*asked), samples=3).injected_weights):
        first, flipped, double, signs, none = eps.unbind(2)
        assert torch.equal(flipped, -first)
        assert torch.equal(double, 2 * first)
        assert torch.equal(signs.abs(), torch.full_like(signs, 0.02))
        assert (none == 0).all()


def test_sigma_is_a_standard_deviation(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    """n = 2 chips x 400 samples x 77 weights; mean square of normal numbers: relative error N(0, 2 / n), 5 sd."""
    chip = chip_of(NETWORK, profile_of(**PATH), 2)
    asked = Injection(0.25, site="weights", layers=(0,))
    eps = chip.forward(inputs_of(2, 1, 6), _passes(asked), samples=400).injected_weights[0]
    assert eps is not None
    n = eps.numel()
    assert eps.mean().abs() < 5 * 0.25 / n**0.5
    assert abs(eps.square().mean().item() / 0.25**2 - 1) < 5 * (2 / n) ** 0.5


LIVING: dict[str, Any] = {
    "programming": {"kind": "constant", "sigma": "0.1 uS"},
    "read_noise": [{"sigma": "1 %"}, {"kind": "lorentzian", "sigma": "1 %", "tau": "3 us"}],
    "unit_noise": {"kind": "gaussian", "sigma": 0.01},
    "dac": {"bits": 8, "range": 6},
    "adc": {"bits": 8, "range": 12},
}


@pytest.mark.parametrize("way", [PATH, WRITES], ids=["path", "writes"])
@pytest.mark.parametrize("asked", [(None, EPS), (EPS, None, Injection(0.1), BACK), (EPS,)], ids=len)
def test_samples_in_chunks_are_the_samples_of_one_call(
    chip_of: Any, profile_of: Any, inputs_of: Any, way: Any, asked: Any
) -> None:
    """Sample by sample: noise, writes and perturbations come in one order however samples are split."""
    x, passes = inputs_of(2, 5, 6), _passes(*asked)
    whole = chip_of(NETWORK, profile_of(**LIVING, **way), 2).forward(x, passes, samples=5)
    chip = chip_of(NETWORK, profile_of(**LIVING, **way), 2)
    parts = [chip.forward(x, passes, samples=n, go_on=index > 0) for index, n in enumerate((1, 3, 1))]
    assert torch.equal(torch.cat([each.outputs for each in parts], 1), whole.outputs)
    for layer in range(2):
        assert torch.equal(
            torch.cat([_given(each.injected_weights)[layer] for each in parts], 1),
            _given(whole.injected_weights)[layer],
        )


def test_passes_of_all_sites_stand_where_they_were_asked_for(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    chip = chip_of(NETWORK, profile_of(**PATH), 2)
    node, after = Injection(0.1), Injection(0.1, site="activation", draw=1)
    x, asked = inputs_of(2, 5, 6), (EPS, node, None, BACK, after, Injection(0.1, scale=-1.0))
    trace = chip.forward(x, _passes(*asked), samples=2)
    plain = _expected(x, list(chip.oracle.weights))
    torch.testing.assert_close(trace.outputs[:, 0, 2], plain)
    torch.testing.assert_close(trace.outputs[:, 1, 2], plain)
    for index, eps in enumerate(trace.injected):
        assert eps is not None
        for p in (0, 2, 3):
            assert (eps[:, :, p] == 0).all()
        assert torch.equal(eps[:, :, 5], -eps[:, :, 1]), "passes on either side of a weight pass share a draw"
        weights = trace.injected_weights[index]
        assert weights is not None
        assert [bool((weights[:, :, p] != 0).all()) for p in range(6)] == [True, False, False, True, False, False]
    eps = trace.injected[0]
    assert eps is not None
    a = trace.pre_activations[0]
    torch.testing.assert_close(a[:, :, 1], a[:, :, 2] + eps[:, :, 1])
    torch.testing.assert_close(a[:, :, 4], a[:, :, 2])
    moved = [(w + e[:, 0, 3]) for w, e in zip(chip.oracle.weights, _given(trace.injected_weights), strict=True)]
    torch.testing.assert_close(trace.outputs[:, 0, 3], _expected(x, moved))


def test_chips_alone_and_in_a_population(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    x = inputs_of(3, 5, 6)
    profile = profile_of(programming={"kind": "constant", "sigma": "0.1 uS"})
    together = chip_of(NETWORK, profile, 3).forward(x, _passes(None, EPS), samples=2)
    alone = chip_of(NETWORK, profile, [1]).forward(x[1:2], _passes(None, EPS), samples=2)
    torch.testing.assert_close(alone.outputs[0], together.outputs[1], rtol=1e-10, atol=1e-10)


def test_a_change_below_the_granularity_is_not_written(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    chip = chip_of(NETWORK, profile_of(granularity="0.5 uS"), 2)
    x = inputs_of(2, 5, 6)
    trace = chip.forward(x, _passes(None, Injection(1e-9, site="weights")))
    assert torch.equal(trace.outputs[:, :, 0], trace.outputs[:, :, 1])
    assert chip.device_writes.tolist() == [0, 0]
    chip.forward(x, _passes(EPS))
    assert (chip.device_writes > 0).all()


def test_devices_wear_out_and_their_drift_begins_anew(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    drift = {"kind": "constant", "t0": "1 s", "mean": 0.05}
    parts = {"endurance": {"cycles": 1000}, "drift": drift, "conductance": {"min": "1 uS", "max": "25 uS"}}
    for way, worn in ((WRITES, 6), (PATH, 0)):
        chip = chip_of(NETWORK, profile_of(**parts, **way), 2)
        plus = chip.oracle.cells[0][0]
        start = plus.used.clone()
        chip.forward(inputs_of(2, 5, 6), _passes(EPS), samples=3, now=50.0)
        assert (plus.used - start).amax() == worn
        assert plus.written_at.amax() == (50.0 if worn else 0.0)
    chip = chip_of(NETWORK, profile_of(**parts), 2)
    chip.forward(inputs_of(2, 5, 6), _passes(EPS), now=50.0)
    with pytest.raises(ValueError, match="must not lie before the last write at 50 s"):
        chip.forward(inputs_of(2, 5, 6), now=49.0)


SOFT = {"update": {"kind": "soft_bounds", "dw_min": 0.01}, "cell": "reference"}


def _pulses(count: float) -> list[LayerPulses]:
    shapes = [(2, layer.columns, layer.rows) for layer in NETWORK.layers]
    return [LayerPulses(pulses=torch.full(shape, count, dtype=torch.float64)) for shape in shapes]


def test_what_pulses_have_moved_cannot_be_written_back(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    """Nor after a checkpoint; an absolute write gives a target again, and a path needs none."""
    x, profile = inputs_of(2, 5, 6), profile_of(**SOFT)
    chip = chip_of(NETWORK, profile, 2)
    chip.forward(x, _passes(EPS))
    chip.write(_pulses(3.0))
    restored = chip_of(NETWORK, profile, 2)
    restored.load_state_dict(chip.state_dict())
    for each in (chip, restored):
        with pytest.raises(ValueError, match="weights that pulses have moved cannot be perturbed by writes"):
            each.forward(x, _passes(EPS))
    chip.write([LayerWrite(torch.zeros(2, layer.columns, layer.rows).double()) for layer in NETWORK.layers])
    chip.forward(x, _passes(EPS))
    chip = chip_of(NETWORK, profile_of(**SOFT, **PATH), 2)
    chip.write(_pulses(3.0))
    held = [w.clone() for w in chip.oracle.weights]
    trace = chip.forward(x, _passes(EPS))
    weights = [w + e[:, 0, 0] for w, e in zip(held, _given(trace.injected_weights), strict=True)]
    torch.testing.assert_close(trace.outputs[:, 0, 0], _expected(x, weights))


def test_a_path_stands_behind_the_drift_compensation(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    drift = {"kind": "constant", "t0": "1 s", "mean": 0.05}
    chip = chip_of(NETWORK, profile_of(drift=drift, **PATH), 2)
    x = inputs_of(2, 5, 6)
    chip.take_reference(1.0)
    factor = chip.compensate(1e5)
    assert (factor > 1.5).all()
    trace = chip.forward(x, _passes(None, Injection(0.02, site="weights", layers=(1,))), now=1e5)
    signal, a = trace.inputs[1], trace.pre_activations[1]
    eps = trace.injected_weights[1]
    assert eps is not None
    added = signal[:, 0, 0] @ eps[:, 0, 1].transpose(1, 2)
    torch.testing.assert_close(a[:, 0, 1] - a[:, 0, 0], added, rtol=1e-9, atol=1e-11)


def test_clean_passes_meet_perturbed_weights_too(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    chip = chip_of(NETWORK, profile_of(read_noise={"sigma": "3 %"}, **PATH), 2)
    passes = (Pass(clean=True, inject=EPS), Pass(clean=True, inject=EPS), Pass(inject=EPS))
    a, b, c = chip.forward(inputs_of(2, 5, 6), passes).outputs.unbind(2)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_a_layer_that_there_is_not_is_refused(chip_of: Any, profile_of: Any, inputs_of: Any) -> None:
    chip = chip_of(NETWORK, profile_of(), 2)
    with pytest.raises(ValueError, match="layer 2 cannot be perturbed: layers are numbered 0 to 1"):
        chip.forward(inputs_of(2, 5, 6), _passes(Injection(0.1, site="weights", layers=(2,))))
