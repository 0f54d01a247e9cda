"""How a step reaches the devices: absolute targets, pulses of outer products, pulses that add up digitally."""

from __future__ import annotations

import pytest
import torch

from analogsim.learning import RULES, Controller
from analogsim.port import LayerPulses, LayerUpdate, LayerWrite, Limits
from device_models import DeviceProfile

STEP = 0.001


def _profile(**update):
    kind = {"kind": "constant_step", "dw_min": STEP, **update}
    data = {"name": "x", "conductance": {"max": "25 uS"}, "cell": "reference", "update": kind}
    return DeviceProfile.from_data(data)


def _bp(lab, writing, lr=0.3, steps=30, profile=None, **bench):
    bench = lab.bench([6, 5, 3], profile or _profile(), chips=4, batch=8, **bench)
    rates = lr if isinstance(lr, list) else [lr] * 4
    controller = Controller(bench.rig, RULES["bp"](), bench.weights, torch.optim.SGD, rates, writing=writing)
    for _ in range(steps):
        controller.step()
    return bench, controller


@pytest.mark.parametrize("writing", ["in_memory", "mixed_precision"])
def test_pulses_follow_the_copy_where_steps_are_fine(lab, writing):
    """Ideal steps of 1e-3: weights end near the copy, which is what was asked for."""
    bench, controller = _bp(lab, writing)
    for now, copy, before, limit in zip(
        bench.chip.oracle.weights, controller.copy.weights, bench.weights, bench.rig.limits.weights, strict=True
    ):
        step = STEP * limit
        error = (now - copy) / step
        if writing == "mixed_precision":  # what is not given yet is less than a pulse
            assert error.abs().max() < 1 + 1e-9
        else:  # at most one pulse in 31 slots x 8 samples x 30 steps, each with at most a quarter of variance
            assert error.abs().mean() < 3 * (31 * 8 * 30 * 0.25) ** 0.5
        assert ((now - before) / step).abs().mean() > 20, "they have moved a good deal"
    assert (bench.chip.pulses > 0).all()


def test_mixed_precision_loses_nothing(lab):
    """Pulses given, times the step, plus the memory: the whole change of the copy, to rounding."""
    bench, controller = _bp(lab, "mixed_precision", steps=7)
    memory = controller.state_dict()["writing"]["memory"]
    for now, before, copy, chi in zip(
        bench.chip.oracle.weights, bench.weights, controller.copy.weights, memory, strict=True
    ):
        torch.testing.assert_close(now + chi, copy, rtol=0, atol=1e-12)
        assert not torch.equal(now, before)


def test_each_chip_has_its_own_rate(lab):
    bench, _ = _bp(lab, "in_memory", lr=[0.03, 0.03, 0.003, 0.003], steps=5, alike=True)
    fast, slow = bench.chip.pulses[:2].double().mean(), bench.chip.pulses[2:].double().mean()
    assert 5 < fast / slow < 15, "ten times the rate, on gradients that it makes smaller"


@pytest.mark.parametrize("writing", ["in_memory", "mixed_precision"])
def test_a_frozen_chip_gets_no_pulse(lab, writing):
    """The second chip's rate throws it out of all bounds in the first step; its numbers must not reach a device."""
    bench = lab.bench([6, 5, 3], _profile(), chips=3, batch=8)
    bench.task.inputs[1] = float("inf")
    controller = Controller(bench.rig, RULES["bp"](), bench.weights, torch.optim.SGD, 0.1, writing=writing)
    for _ in range(3):
        controller.step()
    assert controller.diverged.tolist() == [False, True, False]
    assert bench.chip.pulses[1] == 0
    assert (bench.chip.pulses[[0, 2]] > 0).all()
    for now, before in zip(bench.chip.oracle.weights, bench.weights, strict=True):
        torch.testing.assert_close(now[1], before[1])
        assert now.isfinite().all()


def test_factors_go_to_the_devices_as_factors(lab, monkeypatch):
    bench = lab.bench([6, 5, 3], _profile(), chips=1, batch=8)
    seen = []
    monkeypatch.setattr(bench.rig, "write", lambda writes: seen.extend(writes))
    for writing, kind in (("in_memory", LayerPulses), ("mixed_precision", LayerPulses), ("absolute", LayerWrite)):
        controller = Controller(bench.rig, RULES["bp"](), bench.weights, torch.optim.SGD, 0.1, writing=writing)
        controller.step()
        assert [type(each) for each in seen] == [kind] * 2
        if writing == "in_memory":
            assert all(each.update.post.shape == (1, 8, n) for each, n in zip(seen, (5, 3), strict=True))
            assert all(isinstance(each.update, LayerUpdate) and each.update.dense is None for each in seen)
        seen.clear()


@pytest.mark.parametrize("writing", ["in_memory", "mixed_precision"])
def test_devices_without_pulses_are_refused(lab, writing):
    bench = lab.bench([6, 5, 3])
    with pytest.raises(ValueError, match=f"{writing} writes by pulses, but these devices take none"):
        Controller(bench.rig, RULES["bp"](), bench.weights, torch.optim.SGD, 0.1, writing=writing)
    assert Limits((None,), (None,), (None,)).steps == ()
