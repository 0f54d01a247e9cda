"""What learning and living cost: sums over counted operations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from analogsim.results import read_curves, read_result
from analogsim.study.arm import Arm
from analogsim.study.run import load_data, run

CPU = torch.device("cpu")


def test_energy_is_the_sum_over_counted_operations(lives: Any, tmp_path: Path) -> None:
    own = "[{do: self_test, samples: 70}, {do: train, steps: 3}]"
    settings = ("chip.profile=noisy", "chip.overrides.costs.standby=1 mW", "timeline=[{do: idle, time: 2 s}]")
    study = lives.scenario(*settings, f"arms={{anp: {{rule: anp, timeline: {own}}}}}")
    folder = run(study, tmp_path, CPU).path
    arm, data = read_result(folder / "result.json").arms["anp"], load_data(study)
    prices = Arm(study, "anp", data, CPU)._stage.account
    assert prices is not None
    step, inference, costs = prices.prices.step, prices.prices.inference, prices.prices.costs
    devices = 2 * sum(layer.rows * layer.columns for layer in study.network.build(data.input_shape).layers)
    curves = read_curves(folder / "metrics.jsonl")
    for at, chip in enumerate(arm.chips):
        assert chip.spent is not None
        assert chip.spent == curves[-1].spent[at]
        assert chip.spent.passes == arm.steps * 2
        assert chip.spent.seconds == pytest.approx(arm.steps * step.latency, rel=1e-12)
        expected = arm.steps * step.energy + chip.spent.writes * costs[0].write.energy + chip.spent.seconds * 1e-3
        assert chip.spent.joules == pytest.approx(expected, rel=1e-12)
        assert devices / 4 < chip.spent.writes / arm.steps <= devices, "pixels that are never lit move nothing"
    tested, trained = (m for m in arm.lives[0].moments if m.event in ("self_test", "train"))
    reads = inference.latency + 69 * inference.interval
    assert tested.seconds == pytest.approx(reads, rel=1e-9)
    assert tested.joules == pytest.approx((70 * inference.energy + reads * 1e-3,) * 3, rel=1e-9)
    assert trained.seconds == pytest.approx(reads + 3 * step.latency, rel=1e-9)
    assert arm.step is not None and sum(arm.step.joules.values()) == pytest.approx(step.energy, rel=1e-12)
    assert set(arm.step.joules) == {"dac", "array", "adc", "writes", "verify", "digital", "broadcasts"}


def test_the_price_of_a_stated_accuracy(lives: Any, tmp_path: Path) -> None:
    arms = "arms={bp: {rule: bp, oracle: [output_error, transposed_read]}}"
    folder = run(
        lives.scenario("chip.profile=noisy", "train.reach=0.3", "train.evaluate_every=2 steps", arms), tmp_path, CPU
    ).path
    result, curves = read_result(folder / "result.json"), read_curves(folder / "metrics.jsonl")
    assert result.reach == 0.3
    for at, chip in enumerate(result.arms["bp"].chips):
        first = next(curve for curve in curves if (curve.chips[at].test_accuracy or 0.0) >= 0.3)
        assert chip.reached == first.spent[at]
        assert 0 < chip.reached.joules < chip.spent.joules


def test_only_attempts_are_verified_and_dead_devices_are_written_too(lives: Any) -> None:
    """Pulses go unverified; an endurance, which counts what wears a device out, changes no energy."""
    profile = (
        "cell: reference, update: {kind: constant_step, dw_min: 0.01}, write_verify: {iterations: 3, tolerance: 0.5 uS}"
    )
    profile += ", programming: {kind: constant, sigma: 0.5 uS}"
    spent = {}
    for name, more in (("lasting", ""), ("mortal", ", endurance: {cycles: 2, counts: writes}")):
        study = lives.scenario(
            "chip.profile=noisy",
            f"chip.overrides={{{profile}{more}}}",
            "train.epochs=0",
            "timeline=[{do: train, steps: 6}]",
            "arms={pulses: {rule: anp, optimizer: {mixed_precision: {lr: 0.5}}}, programs: {rule: anp}}",
        )
        for arm in ("pulses", "programs"):
            account = lives.lived(study, arm)._stage.account
            assert account is not None
            step, costs = account.prices.step, account.prices.costs[0]
            seen = account.spent()[0]
            each = costs.write.energy + (costs.verify.energy if arm == "programs" else 0.0)
            assert seen.writes > 0
            assert seen.joules == pytest.approx(6 * step.energy + seen.writes * each, rel=1e-9)
            spent[name, arm] = seen.writes
    for arm in ("pulses", "programs"):  # learning goes another way, but no cheaper one
        assert spent["mortal", arm] > 0.7 * spent["lasting", arm]


def test_reads_of_references_are_paid_for(lives: Any) -> None:
    own = "[{do: train, steps: 2}, {do: compensate, at: 1 h}, {do: reprogram, at: 2 h}]"
    study = lives.scenario("chip.profile=pcm", "train.epochs=0", f"arms={{anp: {{rule: anp, timeline: {own}}}}}")
    arm = lives.lived(study, "anp")
    account = arm._life._account if arm._life is not None else None
    assert account is not None
    assert account.reads == arm._rig.chip.reference_reads == 4 * 32
    first, _, last = arm.result().lives[0].moments
    prices = account.prices
    assert first.seconds == pytest.approx(2 * prices.step_time + prices.reads_time(32), rel=1e-9)
    assert last.seconds == pytest.approx(7200 + prices.write_time + prices.reads_time(32), rel=1e-9)
